"""A second set of models beside the champion's: who answers which search, how both fare, and when the second is taken out."""

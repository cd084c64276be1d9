"""One module per DVC stage, same name; `support` holds what they share."""

"""Values that several pairs of encoders share."""

"""What text encoders share."""

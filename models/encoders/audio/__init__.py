"""Encoders of sound: one row of features per clip of samples. `models.encoders` registers them."""

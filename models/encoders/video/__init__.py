"""Encoders of pictures: features at places for clips of frames. `models.encoders` registers them."""

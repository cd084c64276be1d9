"""Models of open_clip under their own names of weights and values, as towers of the package `transformers`."""

from models.encoders.pretrained.open_clip.model import OpenClip

__all__ = ["OpenClip"]

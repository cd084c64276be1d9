"""2D-TAN as a localizer; `models.layers.tan2d` holds the network."""

from typing import Literal

from models.layers.tan2d import Tan2D, Tan2DValues

__all__ = ["Tan2D", "Tan2DParams"]


class Tan2DParams(Tan2DValues):
    """Values of 2D-TAN; the defaults suit two CPU cores."""

    name: Literal["tan2d"]

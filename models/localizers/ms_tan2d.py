"""MS-2D-TAN as a localizer; `models.layers.ms_tan2d` holds the network."""

from typing import Literal

from models.layers.ms_tan2d import MultiScaleTan2D, MultiScaleTan2DValues

__all__ = ["MultiScaleTan2D", "MultiScaleTan2DParams"]


class MultiScaleTan2DParams(MultiScaleTan2DValues):
    """Values of MS-2D-TAN; the defaults suit two CPU cores."""

    name: Literal["ms_tan2d"]

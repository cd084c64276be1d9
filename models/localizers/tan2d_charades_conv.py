"""2D-TAN as published for Charades-STA, with convolved proposals; its preset holds the values."""

from typing import Literal

from models.layers.tan2d import Tan2DValues


class Tan2DCharadesConvParams(Tan2DValues):
    """Values of 2D-TAN; those of the authors lie in the preset."""

    name: Literal["tan2d_charades_conv"]

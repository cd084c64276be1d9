"""2D-TAN as published for TACoS, with convolved proposals; its preset holds the values."""

from typing import Literal

from models.layers.tan2d import Tan2DValues


class Tan2DTacosConvParams(Tan2DValues):
    """Values of 2D-TAN; those of the authors lie in the preset."""

    name: Literal["tan2d_tacos_conv"]

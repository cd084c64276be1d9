"""MS-2D-TAN as published for TACoS with VGG features; its preset holds the values."""

from typing import Literal

from models.layers.ms_tan2d import MultiScaleTan2DValues


class MultiScaleTan2DTacosVGGParams(MultiScaleTan2DValues):
    """Values of MS-2D-TAN; those of the authors lie in the preset."""

    name: Literal["ms_tan2d_tacos_vgg"]

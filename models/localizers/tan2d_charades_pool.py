"""2D-TAN as published for Charades-STA, with max-pooled proposals; its preset holds the values."""

from typing import Literal

from models.layers.tan2d import Tan2DValues


class Tan2DCharadesPoolParams(Tan2DValues):
    """Values of 2D-TAN; those of the authors lie in the preset."""

    name: Literal["tan2d_charades_pool"]

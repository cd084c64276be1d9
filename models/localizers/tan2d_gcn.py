"""2D-TAN with a graph neck over its cells; its preset holds the values."""

from typing import Literal

from models.layers.graph import GraphNeckParams, NeckParams
from models.layers.tan2d import Tan2DValues


class Tan2DGCNParams(Tan2DValues):
    """Values of 2D-TAN, with the graph neck unless told otherwise."""

    name: Literal["tan2d_gcn"]
    neck: NeckParams = GraphNeckParams(name="gcn")

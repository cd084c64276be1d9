"""2D-TAN: its network, its values, the authors' published configurations, and the convolution over its map."""

from models.localizers.tan2d.network import Tan2D
from models.localizers.tan2d.params import Tan2DParams

__all__ = ["Tan2D", "Tan2DParams"]

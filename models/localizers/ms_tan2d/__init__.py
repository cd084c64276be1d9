"""MS-2D-TAN: its network over maps of several scales, and its values."""

from models.localizers.ms_tan2d.network import MultiScaleTan2D
from models.localizers.ms_tan2d.params import MultiScaleTan2DParams

__all__ = ["MultiScaleTan2D", "MultiScaleTan2DParams"]

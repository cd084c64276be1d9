"""FCOS along time: its network, its pyramid and its values."""

from models.localizers.fcos.network import FCOS
from models.localizers.fcos.params import FCOSParams

__all__ = ["FCOS", "FCOSParams"]

"""Moment-DETR: its network, its transformer and its values."""

from models.localizers.moment_detr.network import MomentDETR
from models.localizers.moment_detr.params import MomentDETRParams

__all__ = ["MomentDETR", "MomentDETRParams"]

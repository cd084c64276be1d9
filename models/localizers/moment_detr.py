"""Moment-DETR as a localizer; `models.layers.moment_detr` holds the network."""

from typing import Literal

from models.layers.moment_detr import MomentDETR, MomentDETRValues

__all__ = ["MomentDETR", "MomentDETRParams"]


class MomentDETRParams(MomentDETRValues):
    """Values of Moment-DETR; the defaults suit two CPU cores."""

    name: Literal["moment_detr"]

"""Moment-DETR as published for QVHighlights; its preset holds the values."""

from typing import Literal

from models.layers.moment_detr import MomentDETRValues


class MomentDETRQVHighlightsParams(MomentDETRValues):
    """Values of Moment-DETR; those of the authors lie in the preset."""

    name: Literal["moment_detr_qvhighlights"]

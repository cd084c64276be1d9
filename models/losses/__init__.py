"""The registry of losses: one line per loss in `LossParams`."""

from typing import Annotated

from pydantic import Field

from models.losses.info_nce import InfoNCEParams
from models.losses.inside_bce import InsideBCEParams
from models.losses.iou_bce import IoUBCEParams
from models.losses.scaled_iou_bce import ScaledIoUBCEParams
from models.losses.span_softmax import SpanSoftmaxParams

LossParams = Annotated[
    InfoNCEParams | InsideBCEParams | IoUBCEParams | ScaledIoUBCEParams | SpanSoftmaxParams,
    Field(discriminator="name"),
]

"""IoU with the true moments, rescaled to targets in [0, 1]."""

from typing import Self

from pydantic import Field, model_validator
from torch import Tensor

from corpus.params import Params


class IoUBand(Params):
    """The IoU range that maps to [0, 1]. Defaults are those of Charades-STA and ActivityNet Captions."""

    min_iou: float = Field(default=0.5, ge=0, lt=1)
    max_iou: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _check_band(self) -> Self:
        if self.min_iou >= self.max_iou:
            name = getattr(self, "name", "the band")
            raise ValueError(f"{name} needs min_iou < max_iou, got min_iou={self.min_iou}, max_iou={self.max_iou}")
        return self


def scale_iou(iou: Tensor, *, min_iou: float, max_iou: float, bias: float = 0.0) -> Tensor:
    """Return clip((iou - min_iou) / (max_iou - min_iou) * (1 - bias), 0, 1), plus `bias` where positive, clipped again."""
    scaled = (iou - min_iou) / (max_iou - min_iou) * (1 - bias)
    return (scaled + bias * (scaled > 0)).clamp(0, 1)

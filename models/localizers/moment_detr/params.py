"""Moment-DETR: a transformer over clips and words, with learned queries that predict moments."""

from typing import Literal

from models.contracts.batches import InputDims
from models.contracts.roles import Localizer, LocalizerParams
from models.localizers.moment_detr.values import MomentDETRValues


class MomentDETRParams(MomentDETRValues, LocalizerParams):
    """Values of Moment-DETR. Defaults suit two CPU cores; a preset holds the published configuration."""

    name: Literal["moment_detr"]

    def build(self, dims: InputDims) -> Localizer:
        """Return an untrained Moment-DETR."""
        from models.localizers.moment_detr.network import MomentDETR

        return MomentDETR(self, dims)

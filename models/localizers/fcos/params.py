"""FCOS along time: every cell predicts whether it lies in the moment, its centreness, and the distances to both ends."""

from typing import Literal

from models.contracts.batches import InputDims
from models.contracts.roles import Localizer, LocalizerParams
from models.localizers.fcos.values import FCOSValues


class FCOSParams(FCOSValues, LocalizerParams):
    """Values of FCOS along time; the defaults suit two CPU cores."""

    name: Literal["fcos"]

    def build(self, dims: InputDims) -> Localizer:
        """Return an untrained FCOS."""
        from models.localizers.fcos.network import FCOS

        return FCOS(self, dims)

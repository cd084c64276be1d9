"""MS-2D-TAN: span maps at several temporal scales, each compared with the sentence and convolved."""

from typing import Literal

from models.contracts.batches import InputDims
from models.contracts.roles import Localizer, LocalizerParams
from models.localizers.ms_tan2d.values import MultiScaleTan2DValues


class MultiScaleTan2DParams(MultiScaleTan2DValues, LocalizerParams):
    """Values of MS-2D-TAN. Defaults suit two CPU cores; presets hold the published configurations."""

    name: Literal["ms_tan2d"]

    def build(self, dims: InputDims) -> Localizer:
        """Return an untrained MS-2D-TAN."""
        from models.localizers.ms_tan2d.network import MultiScaleTan2D

        return MultiScaleTan2D(self, dims)

"""2D-TAN: a map over the spans of a video, compared with the sentence and convolved over neighbouring spans."""

from typing import Literal

from models.contracts.batches import InputDims
from models.contracts.roles import Localizer, LocalizerParams
from models.localizers.tan2d.values import Tan2DValues


class Tan2DParams(Tan2DValues, LocalizerParams):
    """Values of 2D-TAN. Defaults suit two CPU cores; presets hold the published configurations."""

    name: Literal["tan2d"]

    def build(self, dims: InputDims) -> Localizer:
        """Return an untrained 2D-TAN."""
        from models.localizers.tan2d.network import Tan2D

        return Tan2D(self, dims)

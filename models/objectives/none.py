"""No pretraining: the encoders keep their first weights, drawn from the seed."""

from collections.abc import Sequence
from typing import Literal

from models.contracts.roles import TextStart, VideoEncoder
from models.objectives.base import ObjectiveParams


class NoneParams(ObjectiveParams):
    """Empty schema: the objective has no values."""

    name: Literal["none"]
    training: None = None

    def build(self, video: VideoEncoder, text: TextStart | None, texts: Sequence[str]) -> None:
        """Return None."""
        return

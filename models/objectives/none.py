"""No pretraining: the encoders keep their first weights, drawn from the seed."""

from collections.abc import Sequence
from typing import Literal

from corpus.text import Tokenizer
from models.exchange.roles import TextEncoder, VideoEncoder
from models.objectives.base import ObjectiveParams


class NoneParams(ObjectiveParams):
    """Nothing to choose."""

    name: Literal["none"]
    schedule: None = None

    def build(self, video: VideoEncoder, text: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        """Return no objective."""
        return

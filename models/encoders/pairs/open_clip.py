"""Both towers of a model in open_clip's own files, frozen."""

from typing import Literal

from models.contracts.roles import EncoderPair
from models.encoders.pairs.base.towers import TowerPairParams


class OpenClipPairParams(TowerPairParams):
    """Values of the encoders `clip_image` and `clip_text` for `open_clip_config.json` and `open_clip_model.safetensors`."""

    name: Literal["open_clip"]

    def expand(self) -> EncoderPair:
        """Return the two towers."""
        return self.expand_as("open_clip")

"""Both towers of a CLIP or SigLIP as the package transformers stores it, frozen."""

from typing import Literal

from models.contracts.roles import EncoderPair
from models.encoders.pairs.base.towers import TowerPairParams


class CLIPPairParams(TowerPairParams):
    """Values of the encoders `clip_image` and `clip_text` for `config.json` and `model.safetensors`."""

    name: Literal["clip"]

    def expand(self) -> EncoderPair:
        """Return the two towers."""
        return self.expand_as("transformers")

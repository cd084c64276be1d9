"""Both towers of an open_clip model. Letters: B pictures or sentences, L tokens, D width of the shared space."""

from typing import Self

import torch
from torch import Tensor, nn

from models.encoders.pretrained.open_clip.text import convert_text, read_reading
from models.encoders.pretrained.open_clip.values import Converted, State, Values
from models.encoders.pretrained.open_clip.vision import convert_vision
from models.encoders.pretrained.towers import build_tower, embed_pictures, embed_tokens


class OpenClip(nn.Module):
    """The towers of an open_clip model, frozen. They give the vectors of the package's `encode_image` and `encode_text`.

    Source: Ilharco et al. 2021, OpenCLIP (doi:10.5281/zenodo.5143773). The networks are those of the package `transformers`.
    """

    def __init__(self, vision: nn.Module, text: nn.Module, config: Values) -> None:
        """Freeze two towers; `config` is the `model_cfg` of an `open_clip_config.json`."""
        super().__init__()
        self.vision = vision.eval().requires_grad_(False)
        self.text = text.eval().requires_grad_(False)
        self.reading, self._values = read_reading(config), config["text_cfg"]

    @classmethod
    def from_official(cls, state_dict: State, config: Values) -> Self:
        """Build both towers from a state dict with open_clip's names and the `model_cfg` of its configuration.

        Raises:
            ValueError: naming a value or a weight that does not fit.
        """
        return cls(load_tower(convert_vision(state_dict, config)), load_tower(convert_text(state_dict, config)), config)

    @torch.no_grad()
    def official_image(self, pixels: Tensor) -> Tensor:
        """Return the vectors of normalised pictures, (B, 3, H, W) -> (B, D), not of unit length."""
        return embed_pictures(self.vision, pixels)

    @torch.no_grad()
    def official_text(self, token_ids: Tensor) -> Tensor:
        """Return the vectors of sentences that open_clip's tokenizer padded, (B, L) -> (B, D), not of unit length."""
        tokens = embed_tokens(self.text, token_ids, None)  # (B, L, D)
        return tokens[torch.arange(len(tokens)), self._find_end(token_ids)]

    def _find_end(self, token_ids: Tensor) -> Tensor:
        """Return the position whose token stands for the sentence, (B,)."""
        if self.reading.pooling == "last":
            return torch.full((len(token_ids),), token_ids.shape[1] - 1)
        is_eos = self._values.get("pool_type") == "eos"
        return (token_ids == self._values.get("eos_id", 2)).int().argmax(dim=1) if is_eos else token_ids.argmax(dim=1)


def load_tower(converted: Converted) -> nn.Module:
    """Return the network of a converted tower with its weights in float32.

    Raises:
        ValueError: naming a weight that is missing, unknown or of another shape.
    """
    network = build_tower(converted.architecture)
    expected = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    found = {name: tuple(weight.shape) for name, weight in converted.weights.items()}
    wrong = [name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)]
    if wrong:
        there, here = (shapes.get(wrong[0], "missing") for shapes in (found, expected))
        raise ValueError(
            f"the weights of the open_clip model do not fit its configuration: {len(wrong)} differ; "
            f"{wrong[0]} is {there} there and {here} by the configuration; take both files of one model"
        )
    network.load_state_dict({name: weight.float() for name, weight in converted.weights.items()})
    return network

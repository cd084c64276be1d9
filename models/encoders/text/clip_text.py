"""The text tower of CLIP or SigLIP, frozen. Letters: B sentences, L tokens, W width of the space shared with pictures."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor, nn

from corpus.text import Cleaning
from models.contracts.roles import TextStart
from models.encoders.pretrained.model_files import TowerParams
from models.encoders.pretrained.reading import Pooling, Reading
from models.encoders.pretrained.source import TOKENIZER
from models.encoders.pretrained.towers import build_tower, embed_tokens, find_projection_dim
from models.encoders.text.base.frozen import FrozenTextEncoder, FrozenTextEncoderParams
from models.encoders.text.base.pretrained import load_tokenizer_of


class CLIPText(FrozenTextEncoder):
    """The text tower of CLIP or SigLIP in the space of its pictures; one position stands for the sentence.

    CLIP takes the token that ends the sentence; SigLIP the last position of a sentence that is padded to the network's length.
    Source: Radford et al. 2021 (arXiv:2103.00020), section 2.4; Zhai et al. 2023 (arXiv:2303.15343), section 3. Deviations:
    every token is projected into the shared space, so that tokens and sentence have one width; vectors are not normalised.
    """

    def __init__(self, network: nn.Module, params: "CLIPTextParams") -> None:
        """Freeze a text tower of `transformers`."""
        config: Any = network.config
        super().__init__(network, find_projection_dim(config), params)
        self.padding_id, self.num_positions, self.pooling = params.padding_id, params.max_tokens, params.pooling

    def encode_frozen(self, token_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return all tokens, and of each sentence the position that stands for it."""
        if self.padding_id is None:
            tokens = embed_tokens(self.frozen, (token_ids - 1).clamp_min(0), mask.long())  # (B, L, W)
            return tokens, self._take_end(tokens, mask)
        ids = self.pad(token_ids, mask)
        padded = embed_tokens(self.frozen, ids, None)  # (B, num_positions, W)
        tokens = padded.index_select(1, torch.arange(token_ids.shape[1], device=ids.device))  # (B, L, W)
        return tokens, padded[:, -1] if self.pooling == "last" else self._take_end(tokens, mask)

    def pad(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """Return ids as the network was trained on them: (B, L) of the tokenizer here -> (B, num_positions)."""
        assert self.padding_id is not None
        ids = torch.where(mask, token_ids - 1, self.padding_id)
        padding = ids.new_full((1, self.num_positions), self.padding_id).expand(ids.shape[0], -1)
        return torch.cat([ids, padding], dim=1)[:, : self.num_positions]

    @staticmethod
    def _take_end(tokens: Tensor, mask: Tensor) -> Tensor:
        last = (mask.sum(dim=1) - 1).clamp_min(0)[:, None, None].expand(-1, 1, tokens.shape[-1])
        return torch.gather(tokens, 1, last)[:, 0]


class CLIPTextParams(FrozenTextEncoderParams, TowerParams):
    """Values of `CLIPText`. Length and padding are compared with the model's files."""

    name: Literal["clip_text"]
    max_tokens: int = Field(default=77, ge=4)  # of a sentence, special tokens among them; later ones are cut
    padding_id: NonNegativeInt | None = None  # of SigLIP, which reads the padding behind a sentence, up to max_tokens
    text_cleaning: Cleaning = "composed"  # of sentences, before the tokenizer
    pooling: Pooling | None = None  # of the model; pretraining records it

    def build(self, vocabulary_size: int) -> CLIPText:
        """Return an encoder whose weights wait to be loaded."""
        return CLIPText(build_tower(self.require_architecture()), self)

    def start(self, texts: Sequence[str]) -> TextStart:
        """Load the text tower from the source: a whole model, or its text tower alone.

        Raises:
            FileNotFoundError: when the source lacks a file.
            ValueError: when the weights do not fit, or length or padding are not those of the model.
        """
        files = self.find_files(needs=[TOKENIZER])
        reading, architecture = files.read_reading(), files.read_tower("text")
        self.require_reading(reading)
        tokenizer = load_tokenizer_of(
            files.folder, max_tokens=self.max_tokens, num_ids=architecture["vocab_size"], cleaning=self.text_cleaning
        )
        recorded = self.record(files.folder, architecture, files.list_weights())
        params = recorded.model_copy(update={"pooling": reading.pooling})
        return TextStart(params, tokenizer, CLIPText(files.load_tower("text"), params))

    def require_reading(self, reading: Reading) -> None:
        """Compare length and padding with those of a model.

        Raises:
            ValueError: naming what differs and the value to set.
        """
        own, num = self.padding_id, reading.num_positions
        if reading.is_padded and (own is None or reading.padding_id not in (None, own)):
            id_ = "the id of its padding" if reading.padding_id is None else str(reading.padding_id)
            raise ValueError(f"{self.source} reads the padding behind a sentence; set padding_id to {id_}, got {own}")
        if not reading.is_padded and own is not None:
            raise ValueError(f"{self.source} does not read the padding behind a sentence; set padding_id to null, got {own}")
        if reading.is_padded and self.max_tokens != num:
            raise ValueError(f"{self.source} reads sentences padded to {num} tokens; set max_tokens to it, got {self.max_tokens}")
        if self.max_tokens > num:
            raise ValueError(f"max_tokens = {self.max_tokens}, but {self.source} has {num} positions; lower max_tokens")

"""Frozen sentence encoder of the BERT family. Letters: B sentences, L tokens, W hidden width."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.files import read_json
from models.contracts.roles import TextStart
from models.encoders.pretrained.networks import ATTENTION, import_transformers, load_pretrained, read_architecture
from models.encoders.pretrained.source import TOKENIZER
from models.encoders.text.base.frozen import FrozenTextEncoder
from models.encoders.text.base.pretrained import PretrainedTextParams, load_tokenizer_of
from models.encoders.text.base.words import pool_words

_MODULES, _POOLING = "modules.json", "1_Pooling/config.json"


class SentenceTransformer(FrozenTextEncoder):
    """BERT-like network. A sentence is the mean of its tokens or its first token, normalised if the model asks for it.

    Source: Reimers and Gurevych 2019 (arXiv:1908.10084), section 3. Deviation: the code reads the files of the package
    sentence-transformers without the package, and refuses models with parts beyond transformer, pooling and normalisation.
    """

    def __init__(self, network: nn.Module, params: "SentenceTransformerParams") -> None:
        """Freeze an encoder of `transformers`."""
        config: Any = network.config
        super().__init__(network, config.hidden_size, params)
        self.pooling, self.normalise = params.pooling, params.normalise
        self.padding_id = config.pad_token_id or 0  # some networks count positions from it

    def encode_frozen(self, token_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last hidden states, and their pooling."""
        ids = torch.where(mask, token_ids - 1, self.padding_id)
        tokens = self.frozen(input_ids=ids, attention_mask=mask.long()).last_hidden_state  # (B, L, W)
        pooled = tokens[:, 0] if self.pooling == "first" else pool_words(tokens * mask[..., None], mask, "mean")
        return tokens, F.normalize(pooled, dim=-1) if self.normalise else pooled


class SentenceTransformerParams(PretrainedTextParams):
    """Values of `SentenceTransformer`. Pooling and normalisation are compared with the files of the model, if it has them."""

    name: Literal["sentence_transformer"]
    max_tokens: int = Field(default=256, ge=4)
    pooling: Literal["mean", "first"] = "mean"
    normalise: bool = True  # the sentence to length 1, before the projection

    def build(self, vocabulary_size: int) -> SentenceTransformer:
        """Return an encoder whose weights are not loaded yet."""
        package = import_transformers()
        config = package.AutoConfig.for_model(**self.require_architecture())
        return SentenceTransformer(package.AutoModel.from_config(config, attn_implementation=ATTENTION), self)

    def start(self, texts: Sequence[str]) -> TextStart:
        """Load network and tokenizer from the source.

        Raises:
            ValueError: when the model pools in another way than these values.
        """
        package, folder = import_transformers(), self.find_source(needs=[TOKENIZER])
        self.require_modules(folder)
        config = package.AutoConfig.from_pretrained(folder)
        if config.is_encoder_decoder:
            raise ValueError(f"{folder} holds a {config.model_type}, which does not only encode sentences; choose another model")
        self.require_positions(config)
        tokenizer = load_tokenizer_of(folder, max_tokens=self.max_tokens, num_ids=config.vocab_size)
        params = self.record(folder, read_architecture(config))
        return TextStart(params, tokenizer, SentenceTransformer(load_pretrained(package.AutoModel, folder, config), params))

    def require_modules(self, folder: Path) -> None:
        """Compare these values with the files of the package sentence-transformers, if the folder has them.

        Raises:
            ValueError: naming the file, its statement and the value to set.
        """
        if not (folder / _MODULES).is_file():
            return
        kinds = [str(module["type"]).rpartition(".")[2] for module in read_json(folder / _MODULES)]
        other = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
        if other:
            raise ValueError(f"{folder / _MODULES} has the part {other[0]}, which is not read; take another model")
        if ("Normalize" in kinds) != self.normalise:
            raise ValueError(
                f"{folder / _MODULES}: set normalise to {str('Normalize' in kinds).lower()}, got {str(self.normalise).lower()}"
            )
        modes = _read_pooling(folder / _POOLING)
        if modes != {self.pooling}:
            raise ValueError(
                f"{folder / _POOLING} pools by {', '.join(sorted(modes)) or 'nothing'}, but pooling is {self.pooling}"
            )


def _read_pooling(path: Path) -> set[str]:
    names = {"pooling_mode_cls_token": "first", "pooling_mode_mean_tokens": "mean"}
    chosen = [key for key, value in read_json(path).items() if key.startswith("pooling_mode_") and value is True]
    return {names.get(key, key.removeprefix("pooling_mode_")) for key in chosen}

"""The text tower of CLIP, frozen. Letters: B sentences, L tokens, W width of the space that CLIP shares with pictures."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.exchange.roles import TextStart
from models.text_encoders.base.frozen import FrozenTextEncoder
from models.text_encoders.base.source import (
    ATTENTION,
    PretrainedParams,
    find_source,
    import_transformers,
    load_pretrained,
    load_tokenizer_of,
    read_architecture,
)


class CLIPText(FrozenTextEncoder):
    """The text tower of CLIP in the space of its pictures; the token that ends a sentence stands for the sentence.

    Source: Radford et al. 2021 (arXiv:2103.00020), section 2.4. Deviations: every token is projected into the shared space, not
    only the last one, so that tokens and sentence have one width; vectors are not normalised.
    """

    def __init__(self, network: nn.Module, params: "CLIPTextParams") -> None:
        """Freeze a `CLIPTextModelWithProjection`."""
        config: Any = network.config
        super().__init__(network, config.projection_dim, params)

    def encode_frozen(self, token_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return all tokens, and of each sentence the one that ends it."""
        found = self.frozen.text_model(input_ids=(token_ids - 1).clamp_min(0), attention_mask=mask.long())
        tokens = self.frozen.text_projection(found.last_hidden_state)  # (B, L, W)
        last = (mask.sum(dim=1) - 1).clamp_min(0)[:, None, None].expand(-1, 1, tokens.shape[-1])
        return tokens, torch.gather(tokens, 1, last)[:, 0]


class CLIPTextParams(PretrainedParams):
    """Values of `CLIPText`."""

    name: Literal["clip_text"]
    max_tokens: int = Field(default=77, ge=4)

    def build(self, vocabulary_size: int) -> CLIPText:
        """Return an encoder whose weights wait to be loaded."""
        package = import_transformers()
        config = package.CLIPTextConfig(**self.require_architecture())
        return CLIPText(package.CLIPTextModelWithProjection._from_config(config, attn_implementation=ATTENTION), self)

    def start(self, texts: Sequence[str]) -> TextStart:
        """Load the text tower from the source: a whole CLIP, or its text tower alone."""
        package, folder = import_transformers(), find_source(self.source, self.revision)
        config = package.CLIPTextConfig.from_pretrained(folder)
        self.require_positions(config)
        tokenizer = load_tokenizer_of(folder, max_tokens=self.max_tokens, num_ids=config.vocab_size)
        params = self.model_copy(update={"architecture": read_architecture(config)})
        return TextStart(
            params, tokenizer, CLIPText(load_pretrained(package.CLIPTextModelWithProjection, folder, config), params)
        )

"""Towers of CLIP and SigLIP in the package `transformers`: their classes, and the vectors of pictures and tokens.

Letters: B pictures or sentences, L tokens, D width of the space that both towers share.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from corpus.files import read_json
from models.encoders.pretrained.networks import ATTENTION, import_transformers

Tower = Literal["vision", "text"]


class _Kind(NamedTuple):
    config: str
    network: str


_KINDS: Mapping[str, _Kind] = {
    "clip_vision_model": _Kind("CLIPVisionConfig", "CLIPVisionModelWithProjection"),
    "clip_text_model": _Kind("CLIPTextConfig", "CLIPTextModelWithProjection"),
    "siglip_vision_model": _Kind("SiglipVisionConfig", "SiglipVisionModel"),
    "siglip_text_model": _Kind("SiglipTextConfig", "SiglipTextModel"),
}


def read_tower_config(folder: Path, tower: Tower) -> Any:
    """Return the configuration of one tower, from the files of the whole model or of this tower.

    Raises:
        ValueError: when the model is neither a CLIP nor a SigLIP.
    """
    found = str(read_json(folder / "config.json").get("model_type"))
    kind = _KINDS.get(f"{found.removesuffix(f'_{tower}_model')}_{tower}_model")
    if kind is None:
        raise ValueError(
            f"{folder / 'config.json'} describes a {found}; supported are clip and siglip, and SigLIP 2 with pictures of one size"
        )
    return getattr(import_transformers(), kind.config).from_pretrained(folder)


def find_network_class(config: Any) -> Any:
    """Return the class of the network that a tower's configuration describes."""
    return getattr(import_transformers(), _KINDS[config.model_type].network)


def make_config(architecture: Mapping[str, Any]) -> Any:
    """Return the configuration of a tower from its values; `model_type` is one of them."""
    return getattr(import_transformers(), _KINDS[architecture["model_type"]].config)(**architecture)


def build_tower(architecture: Mapping[str, Any]) -> nn.Module:
    """Return a tower whose weights wait to be loaded."""
    config = make_config(architecture)
    network: nn.Module = find_network_class(config)._from_config(config, attn_implementation=ATTENTION)
    return network


def embed_pictures(tower: Any, pixels: Tensor) -> Tensor:
    """Return the vectors of normalised pictures, (B, 3, H, W) -> (B, D), not of unit length."""
    found = tower(pixel_values=pixels)
    vectors: Tensor = found.image_embeds if hasattr(tower, "visual_projection") else found.pooler_output
    return vectors


def embed_tokens(tower: Any, token_ids: Tensor, mask: Tensor | None) -> Tensor:
    """Return each token's vector in the shared space, (B, L) -> (B, L, D), not of unit length.

    Other tokens do not see a token if `mask`, (B, L), is 0 there. Without a mask the network reads padding like words.
    """
    if hasattr(tower, "text_projection"):
        return tower.text_projection(tower.text_model(input_ids=token_ids, attention_mask=mask).last_hidden_state)  # type: ignore[no-any-return]
    return tower.head(tower(input_ids=token_ids, attention_mask=mask).last_hidden_state)  # type: ignore[no-any-return]


def find_projection_dim(config: Any) -> int:
    """Return D of a text tower's configuration."""
    return int(config.projection_dim if config.model_type == "clip_text_model" else config.projection_size)

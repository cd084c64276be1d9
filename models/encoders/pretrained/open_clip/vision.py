"""The picture tower of an open_clip model: its own vision transformer, or SigLIP's from the package timm.

Source: `open_clip.transformer.VisionTransformer`, and `timm.models.vision_transformer` for SigLIP (Zhai et al. 2023,
arXiv:2303.15343), whose pooling is an attention with one learned query. Here both run as networks of `transformers`.
"""

import math
import re
from typing import Any

import torch
from torch import Tensor

from models.encoders.pretrained.open_clip.blocks import OPEN_CLIP, TIMM, count_blocks, rename_blocks
from models.encoders.pretrained.open_clip.values import (
    Converted,
    State,
    Values,
    read_activation,
    read_epsilon,
    refuse,
    require_known,
    take,
)

_OF_NETWORK = {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size", "act_kwargs", "norm_kwargs"}
_OF_OUTPUT = {"final_ln_after_pool", "pool_type"}
_OF_TRAINING = {"pos_embed_type", "patch_dropout", "timm_model_pretrained", "timm_drop", "timm_drop_path"}  # ends before this
_OF_TIMM = {"image_size", "timm_model_name", "timm_pool", "timm_proj"}
_SIGLIP = re.compile(r"vit_(base|large|so400m|giantopt)_patch(\d+)_siglip_\d+")
_SIGLIP_HEADS = {"base": 12, "large": 16, "so400m": 16, "giantopt": 16}  # default of the timm function
_TIMM_EPSILON = 1e-6


def convert_vision(state: State, config: Values) -> Converted:
    """Return the picture tower of a state dict under the names of open_clip; `config` is `model_cfg` of its configuration.

    Raises:
        ValueError: naming an unsupported value.
    """
    values, visual = config["vision_cfg"], take(state, "visual.")
    if values.get("timm_model_name"):
        return _convert_siglip(visual, values)
    return _convert_transformer(visual, values, embed_dim=config["embed_dim"], quick_gelu=bool(config.get("quick_gelu")))


def _convert_transformer(visual: State, values: Values, *, embed_dim: int, quick_gelu: bool) -> Converted:
    require_known(values, _OF_NETWORK | _OF_OUTPUT | _OF_TRAINING, tower="vision")
    layers, width = values.get("layers", 12), values.get("width", 768)
    if not isinstance(layers, int):
        raise refuse(f"vision_cfg.layers = {layers}, those of a ResNet")
    if values.get("pool_type", "tok") != "tok":
        raise refuse(f"vision_cfg.pool_type = {values['pool_type']!r}")
    architecture = {
        "model_type": "clip_vision_model",
        "hidden_size": width,
        "intermediate_size": int(width * values.get("mlp_ratio", 4.0)),
        "projection_dim": embed_dim,
        "num_hidden_layers": layers,
        "num_attention_heads": width // values.get("head_width", 64),
        "image_size": _read_side(values.get("image_size", 224), "image_size"),
        "patch_size": _read_side(values.get("patch_size", 16), "patch_size"),
        "hidden_act": read_activation(values, quick_gelu=quick_gelu),
        "layer_norm_eps": read_epsilon(values),
    }
    named = {
        "conv1.weight": "embeddings.patch_embedding.weight",
        "class_embedding": "embeddings.class_embedding",
        "positional_embedding": "embeddings.position_embedding.weight",
        "ln_pre.weight": "pre_layrnorm.weight",
        "ln_pre.bias": "pre_layrnorm.bias",
        "ln_post.weight": "post_layernorm.weight",
        "ln_post.bias": "post_layernorm.bias",
    }
    inner = _rename(visual, named) | rename_blocks(visual, "transformer.resblocks.", OPEN_CLIP)
    weights = {f"vision_model.{name}": weight for name, weight in inner.items()}
    weights |= {"visual_projection.weight": visual["proj"].T.contiguous()} if "proj" in visual else {}
    return Converted(architecture, weights)


def _convert_siglip(visual: State, values: Values) -> Converted:
    require_known(values, _OF_TIMM | _OF_TRAINING, tower="vision")
    name = str(values["timm_model_name"])
    kind = _SIGLIP.fullmatch(name)
    if kind is None or values.get("timm_pool") != "map" or values.get("timm_proj") != "none":
        how = f"timm_pool {values.get('timm_pool')!r} and timm_proj {values.get('timm_proj')!r}"
        raise refuse(f"vision_cfg.timm_model_name = {name!r} with {how}")
    trunk = take(visual, "trunk.")
    patches, positions = trunk["patch_embed.proj.weight"], trunk["pos_embed"]  # (W, 3, p, p), (1, P, W)
    architecture = {
        "model_type": "siglip_vision_model",
        "hidden_size": patches.shape[0],
        "intermediate_size": trunk["blocks.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": count_blocks(trunk, "blocks."),
        "num_attention_heads": _SIGLIP_HEADS[kind[1]],
        "image_size": patches.shape[-1] * math.isqrt(positions.shape[1]),
        "patch_size": patches.shape[-1],
        "hidden_act": _find_siglip_activation(kind[1], kind[2]),
        "layer_norm_eps": _TIMM_EPSILON,
    }
    return Converted(architecture, _rename_siglip(trunk))


def _find_siglip_activation(size: str, patch: str) -> str:
    """Return the activation that timm gives a SigLIP of a size and a side of patches."""
    is_tanh = size == "giantopt" or (size == "so400m" and patch == "16")
    return "gelu_pytorch_tanh" if is_tanh else "gelu"


def _rename_siglip(trunk: State) -> dict[str, Tensor]:
    named = {
        "patch_embed.proj.weight": "embeddings.patch_embedding.weight",
        "patch_embed.proj.bias": "embeddings.patch_embedding.bias",
        "norm.weight": "post_layernorm.weight",
        "norm.bias": "post_layernorm.bias",
        "attn_pool.latent": "head.probe",
    }
    for kind in ("weight", "bias"):
        named |= {
            f"attn_pool.proj.{kind}": f"head.attention.out_proj.{kind}",
            f"attn_pool.norm.{kind}": f"head.layernorm.{kind}",
            f"attn_pool.mlp.fc1.{kind}": f"head.mlp.fc1.{kind}",
            f"attn_pool.mlp.fc2.{kind}": f"head.mlp.fc2.{kind}",
        }
    joint = {
        f"head.attention.in_proj_{kind}": torch.cat([trunk[f"attn_pool.q.{kind}"], trunk[f"attn_pool.kv.{kind}"]])
        for kind in ("weight", "bias")
    }
    positions = {"embeddings.position_embedding.weight": trunk["pos_embed"][0]}
    return _rename(trunk, named) | rename_blocks(trunk, "blocks.", TIMM) | joint | positions


def _rename(state: State, named: dict[str, str]) -> dict[str, Tensor]:
    return {name: state[official] for official, name in named.items() if official in state}


def _read_side(size: Any, key: str) -> int:
    """Return the side of a square.

    Raises:
        ValueError: when the size is not square.
    """
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise refuse(f"vision_cfg.{key} = {size}, not a square")
    return int(sides.pop())

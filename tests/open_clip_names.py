"""State dicts of `transformers` under the names of open_clip, and its towers once more, slowly, from its description.

Letters: B pictures or sentences, L positions, W width, D width of the shared space.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

State = Mapping[str, Tensor]

_BLOCK = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
_TIMM_BLOCK = {"layer_norm1": "norm1", "layer_norm2": "norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}


def name_clip(state: State) -> dict[str, Tensor]:
    """Return the state of a `CLIPModel` as an open_clip model of the same layers holds it."""
    vision, text = "vision_model.", "text_model."
    named = {
        "visual.conv1.weight": state[f"{vision}embeddings.patch_embedding.weight"],
        "visual.class_embedding": state[f"{vision}embeddings.class_embedding"],
        "visual.positional_embedding": state[f"{vision}embeddings.position_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T,
        "token_embedding.weight": state[f"{text}embeddings.token_embedding.weight"],
        "positional_embedding": state[f"{text}embeddings.position_embedding.weight"],
        "text_projection": state["text_projection.weight"].T,
        "logit_scale": state["logit_scale"],
    }
    for kind in ("weight", "bias"):
        named[f"visual.ln_pre.{kind}"] = state[f"{vision}pre_layrnorm.{kind}"]
        named[f"visual.ln_post.{kind}"] = state[f"{vision}post_layernorm.{kind}"]
        named[f"ln_final.{kind}"] = state[f"{text}final_layer_norm.{kind}"]
    named |= _name_blocks(state, vision, "visual.transformer.resblocks.", _BLOCK, ("attn.in_proj_", "attn.out_proj."))
    return named | _name_blocks(state, text, "transformer.resblocks.", _BLOCK, ("attn.in_proj_", "attn.out_proj."))


def name_siglip(state: State) -> dict[str, Tensor]:
    """Return the state of a `SiglipModel` as an open_clip model with a picture tower of timm holds it."""
    vision, text, trunk = "vision_model.", "text_model.", "visual.trunk."
    named = {
        f"{trunk}pos_embed": state[f"{vision}embeddings.position_embedding.weight"][None],
        f"{trunk}attn_pool.latent": state[f"{vision}head.probe"],
        "text.token_embedding.weight": state[f"{text}embeddings.token_embedding.weight"],
        "text.positional_embedding": state[f"{text}embeddings.position_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        queries, *keys = state[f"{vision}head.attention.in_proj_{kind}"].chunk(3)
        named |= {f"{trunk}attn_pool.q.{kind}": queries, f"{trunk}attn_pool.kv.{kind}": torch.cat(keys)}
        named |= {
            f"{trunk}patch_embed.proj.{kind}": state[f"{vision}embeddings.patch_embedding.{kind}"],
            f"{trunk}norm.{kind}": state[f"{vision}post_layernorm.{kind}"],
            f"{trunk}attn_pool.proj.{kind}": state[f"{vision}head.attention.out_proj.{kind}"],
            f"{trunk}attn_pool.norm.{kind}": state[f"{vision}head.layernorm.{kind}"],
            f"{trunk}attn_pool.mlp.fc1.{kind}": state[f"{vision}head.mlp.fc1.{kind}"],
            f"{trunk}attn_pool.mlp.fc2.{kind}": state[f"{vision}head.mlp.fc2.{kind}"],
            f"text.ln_final.{kind}": state[f"{text}final_layer_norm.{kind}"],
            f"text.text_projection.{kind}": state[f"{text}head.{kind}"],
        }
    named |= _name_blocks(state, vision, f"{trunk}blocks.", _TIMM_BLOCK, ("attn.qkv.", "attn.proj."))
    return named | _name_blocks(state, text, "text.transformer.resblocks.", _BLOCK, ("attn.in_proj_", "attn.out_proj."))


def _name_blocks(
    state: State, prefix: str, target: str, names: Mapping[str, str], attention: tuple[str, str]
) -> dict[str, Tensor]:
    start, named = f"{prefix}encoder.layers.", {}
    for number in {name.removeprefix(start).split(".")[0] for name in state if name.startswith(start)}:
        for kind in ("weight", "bias"):
            layer, block = f"{start}{number}.", f"{target}{number}."
            thirds = [state[f"{layer}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            named[f"{block}{attention[0]}{kind}"] = torch.cat(thirds)
            named[f"{block}{attention[1]}{kind}"] = state[f"{layer}self_attn.out_proj.{kind}"]
            named |= {f"{block}{own}.{kind}": state[f"{layer}{theirs}.{kind}"] for theirs, own in names.items()}
    return named


def encode_image_slowly(state: State, pixels: Tensor, *, heads: int, activate: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what open_clip's vision transformer gives, (B, 3, H, W) -> (B, D): the class token behind the last norm."""
    patches = F.conv2d(pixels, state["visual.conv1.weight"], stride=state["visual.conv1.weight"].shape[-1]).flatten(2).mT
    classes = state["visual.class_embedding"].expand(len(pixels), 1, -1)
    tokens = torch.cat([classes, patches], dim=1) + state["visual.positional_embedding"]  # (B, L, W)
    tokens = _norm(state, "visual.ln_pre", tokens)
    tokens = _run_blocks(state, "visual.transformer.resblocks.", tokens, heads=heads, activate=activate, mask=None)
    return _norm(state, "visual.ln_post", tokens[:, 0]) @ state["visual.proj"]


def encode_text_slowly(state: State, ids: Tensor, *, heads: int, activate: Callable[[Tensor], Tensor], causal: bool) -> Tensor:
    """Return what open_clip's text transformer gives, (B, L) -> (B, D): the token with the largest id."""
    tokens = state["token_embedding.weight"][ids] + state["positional_embedding"][: ids.shape[1]]
    mask = torch.full((ids.shape[1],) * 2, -torch.inf).triu(1) if causal else None
    tokens = _run_blocks(state, "transformer.resblocks.", tokens, heads=heads, activate=activate, mask=mask)
    return _norm(state, "ln_final", tokens)[torch.arange(len(ids)), ids.argmax(dim=1)] @ state["text_projection"]


def _run_blocks(state: State, prefix: str, tokens: Tensor, *, heads: int, activate: Any, mask: Tensor | None) -> Tensor:
    for number in range(sum(name.startswith(prefix) and name.endswith("ln_1.bias") for name in state)):
        block = f"{prefix}{number}."
        tokens = tokens + _attend(state, block, _norm(state, f"{block}ln_1", tokens), heads=heads, mask=mask)
        hidden = activate(_linear(state, f"{block}mlp.c_fc", _norm(state, f"{block}ln_2", tokens)))
        tokens = tokens + _linear(state, f"{block}mlp.c_proj", hidden)
    return tokens


def _attend(state: State, block: str, tokens: Tensor, *, heads: int, mask: Tensor | None) -> Tensor:
    joint = tokens @ state[f"{block}attn.in_proj_weight"].T + state[f"{block}attn.in_proj_bias"]
    queries, keys, values = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in joint.chunk(3, dim=-1))
    scores = queries @ keys.mT / queries.shape[-1] ** 0.5  # (B, heads, L, L)
    found = (scores if mask is None else scores + mask).softmax(dim=-1) @ values
    return _linear(state, f"{block}attn.out_proj", found.transpose(1, 2).flatten(2))


def _norm(state: State, name: str, tokens: Tensor) -> Tensor:
    centred = tokens - tokens.mean(dim=-1, keepdim=True)
    scaled = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def _linear(state: State, name: str, tokens: Tensor) -> Tensor:
    return tokens @ state[f"{name}.weight"].T + state[f"{name}.bias"]

"""The text tower of an open_clip model, `open_clip.transformer.TextTransformer`.

A tower with a causal mask runs as CLIP's in the package `transformers`, a tower without as SigLIP's: their blocks are equal.
"""

import torch
from torch import Tensor

from models.encoders.pretrained.open_clip.blocks import OPEN_CLIP, rename_blocks
from models.encoders.pretrained.open_clip.values import (
    Converted,
    State,
    Values,
    read_activation,
    read_epsilon,
    refuse,
    require_known,
)
from models.encoders.pretrained.reading import Pooling, Reading

_OF_TOKENS = {"context_length", "vocab_size", "hf_tokenizer_name", "tokenizer_kwargs", "tokenizer_mode", "pad_id", "eos_id"}
_OF_NETWORK = {"width", "heads", "layers", "mlp_ratio", "no_causal_mask", "act_kwargs", "norm_kwargs"}
_OF_OUTPUT = {"pool_type", "proj_bias", "proj_type", "final_ln_after_pool"}
_OF_OTHERS = {"hf_model_pretrained", "hf_proj_type", "hf_pooler_type"}  # read only with hf_model_name, which is refused
_POOLING: dict[str, Pooling] = {"argmax": "end", "eos": "end", "last": "last"}


def read_reading(config: Values) -> Reading:
    """Return how the text tower of a `model_cfg` reads a sentence that open_clip's own tokenizer made.

    Raises:
        ValueError: naming an unsupported value.
    """
    values = config["text_cfg"]
    pool_type = values.get("pool_type", "argmax")
    if pool_type not in _POOLING:
        raise refuse(f"text_cfg.pool_type = {pool_type!r}")
    pooling, is_causal = _POOLING[pool_type], not values.get("no_causal_mask")
    if is_causal and pooling == "last":
        raise refuse("text_cfg.pool_type = 'last' with a causal mask")
    return Reading(values.get("context_length", 77), pooling, is_padded=not is_causal, padding_id=None if is_causal else 0)


def convert_text(state: State, config: Values) -> Converted:
    """Return the text tower of a state dict under the names of open_clip; `config` is `model_cfg` of its configuration.

    Raises:
        ValueError: naming an unsupported value.
    """
    values = config["text_cfg"]
    require_known(values, _OF_TOKENS | _OF_NETWORK | _OF_OUTPUT | _OF_OTHERS, tower="text")
    if values.get("proj_type", "linear") != "linear":
        raise refuse(f"text_cfg.proj_type = {values['proj_type']!r}")
    reading, is_causal = read_reading(config), not values.get("no_causal_mask")
    if is_causal and values.get("proj_bias"):
        raise refuse("text_cfg.proj_bias = True with a causal mask")
    width = values.get("width", 512)
    architecture = {
        "model_type": "clip_text_model" if is_causal else "siglip_text_model",
        "vocab_size": values.get("vocab_size", 49408),
        "hidden_size": width,
        "intermediate_size": int(width * values.get("mlp_ratio", 4.0)),
        "num_hidden_layers": values.get("layers", 12),
        "num_attention_heads": values.get("heads", 8),
        "max_position_embeddings": reading.num_positions,
        "hidden_act": read_activation(values, quick_gelu=bool(config.get("quick_gelu"))),
        "layer_norm_eps": read_epsilon(values),
        "projection_dim" if is_causal else "projection_size": config["embed_dim"],
        **{"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0},  # for tokenizers, which no encoder here reads
    }
    return Converted(architecture, _rename(state, is_causal=is_causal))


def _rename(state: State, *, is_causal: bool) -> dict[str, Tensor]:
    own = {name.removeprefix("text."): weight for name, weight in state.items()}  # a custom text tower is a separate module
    weights = {
        "embeddings.token_embedding.weight": own["token_embedding.weight"],
        "embeddings.position_embedding.weight": own["positional_embedding"],
        "final_layer_norm.weight": own["ln_final.weight"],
        "final_layer_norm.bias": own["ln_final.bias"],
    } | rename_blocks(own, "transformer.resblocks.", OPEN_CLIP)
    weight = own["text_projection.weight"] if "text_projection.weight" in own else own["text_projection"].T.contiguous()
    if is_causal:
        return {f"text_model.{name}": found for name, found in weights.items()} | {"text_projection.weight": weight}
    bias = own.get("text_projection.bias", torch.zeros(len(weight), dtype=weight.dtype))
    return weights | {"head.weight": weight, "head.bias": bias}

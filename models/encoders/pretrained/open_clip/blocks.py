"""Names of a transformer block's weights: in open_clip, in timm, and in the package `transformers`."""

from collections.abc import Mapping

from torch import Tensor

from models.encoders.pretrained.open_clip.values import State, split_thirds, take

# What follows `resblocks.<number>.` or `blocks.<number>.`; the joint projection of attention becomes three.
OPEN_CLIP: Mapping[str, str] = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
TIMM: Mapping[str, str] = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.proj": "self_attn.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_JOINT = ("attn.in_proj_weight", "attn.in_proj_bias", "attn.qkv.weight", "attn.qkv.bias")


def count_blocks(state: State, prefix: str) -> int:
    """Return how many blocks `<prefix><number>.` there are."""
    return len({name.partition(".")[0] for name in take(state, prefix)})


def rename_blocks(state: State, prefix: str, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the weights of all blocks below a prefix as those of an encoder of `transformers`."""
    renamed: dict[str, Tensor] = {}
    for name, weight in take(state, prefix).items():
        number, _, inside = name.partition(".")
        layer = f"encoder.layers.{number}"
        if inside in _JOINT:
            renamed |= {f"{layer}.self_attn.{part}": third for part, third in split_thirds(inside, weight).items()}
        else:
            module, _, kind = inside.rpartition(".")
            renamed[f"{layer}.{names.get(module, module)}.{kind}"] = weight
    return renamed

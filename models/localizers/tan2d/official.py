"""Published 2D-TAN checkpoints: the authors' six configurations and the names of their parameters."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from corpus.stream_names import VIDEO
from models.contracts.batches import InputDims, StreamDims

TEXT_DIM = 300  # GloVe
_SHARED = {"hidden_dim": 512, "lstm_layers": 3, "num_cells": 256}
_CHARADES = _SHARED | {"clips_per_cell": 16, "scale_layers": (16,), "kernel_size": 5, "num_layers": 8}
_ACTIVITYNET = _SHARED | {"clips_per_cell": 4, "scale_layers": (16, 8, 8), "kernel_size": 9, "num_layers": 4}
_TACOS = _SHARED | {"clips_per_cell": 2, "scale_layers": (16, 8, 8, 8), "kernel_size": 5, "num_layers": 8}
OFFICIAL: Mapping[str, tuple[int, Mapping[str, Any]]] = {  # width of a clip, values of `Tan2DValues`
    f"{name}_{proposals}": (feature_dim, values | {"proposals": proposals})
    for name, feature_dim, values in (("charades", 4096, _CHARADES), ("activitynet", 500, _ACTIVITYNET), ("tacos", 4096, _TACOS))
    for proposals in ("pool", "conv")
}
_NAMES = {  # name prefixes: ours, the authors', and the number of trailing axes of length 1 in theirs
    "clip_conv.": ("frame_layer.vis_conv.", 1),
    "proposals.": ("prop_layer.", 0),
    "text_lstm.lstm.": ("fusion_layer.textual_encoder.", 0),
    "text_linear.": ("fusion_layer.tex_linear.", 0),
    "map_linear.": ("fusion_layer.vis_conv.", 2),
    "map_conv.": ("map_layer.", 0),
    "predict.": ("pred_layer.", 2),
}


def describe_official(config: str) -> tuple[InputDims, Mapping[str, Any]]:
    """Return the input widths and the values of one of the authors' configurations.

    Raises:
        ValueError: when the configuration is unknown, listing the known ones.
    """
    if config not in OFFICIAL:
        raise ValueError(f"there is no published 2D-TAN {config!r}; known: {', '.join(OFFICIAL)}")
    feature_dim, values = OFFICIAL[config]
    return InputDims({VIDEO: StreamDims(num_places=1, dim=feature_dim)}, text_dim=TEXT_DIM), values


def convert_weights(state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor], config: str) -> dict[str, Tensor]:
    """Return the weights of a published checkpoint under the names and in the shapes of `own`.

    Raises:
        ValueError: naming every parameter that is missing, unknown or of another shape.
    """
    others = sorted(str(name) for name, value in state_dict.items() if not isinstance(value, Tensor))
    if others:
        raise ValueError(
            f"a state dict maps names to tensors, not tensors: {', '.join(others)}; pass the state dict of the model"
        )
    given = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    if len(given) < len(state_dict):
        raise ValueError("a 2D-TAN checkpoint names a parameter twice, with and without the prefix 'module.'")
    _check(
        {name: tuple(tensor.shape) for name, tensor in given.items()},
        dict(translate(*parameter) for parameter in own.items()),
        config,
    )
    dtypes = {tensor.dtype for tensor in given.values()}
    if len(dtypes) > 1 or not all(dtype.is_floating_point for dtype in dtypes):
        raise ValueError(f"a 2D-TAN checkpoint has one floating dtype, got {', '.join(sorted(map(str, dtypes)))}")
    return {name: given[translate(name, tensor)[0]].reshape(tensor.shape) for name, tensor in own.items()}


def translate(name: str, tensor: Tensor) -> tuple[str, tuple[int, ...]]:
    """Return the authors' name and shape of one of our parameters."""
    (start,) = (start for start in _NAMES if name.startswith(start))
    official, num_axes = _NAMES[start]
    axes = (1,) * num_axes if name.endswith(".weight") else ()
    return official + name.removeprefix(start), (*tensor.shape, *axes)


def _check(given: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], config: str) -> None:
    missing, unknown = sorted(expected.keys() - given.keys()), sorted(given.keys() - expected.keys())
    known = [name for name in expected if name in given]
    wrong = [f"{name} has shape {given[name]}, not {expected[name]}" for name in known if given[name] != expected[name]]
    problems = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"unknown: {', '.join(unknown)}"] * bool(unknown) + wrong
    if problems:
        raise ValueError(f"this is not a checkpoint of 2D-TAN {config}: {'; '.join(problems)}")

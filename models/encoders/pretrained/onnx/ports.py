"""Inputs and outputs of published ONNX networks, read from their files.

Letters: B pictures or sentences, L tokens, H height, W width, D width of the output.
"""

from collections.abc import Sequence
from typing import Any, Literal

import onnx

from corpus.params import Params

_FLOATS = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16"}
_INTEGERS = {onnx.TensorProto.INT64: "int64", onnx.TensorProto.INT32: "int32"}
_EMBEDDING = ("embeds", "embedding", "embeddings", "features", "pooler_output", "pooled")  # ends of names, the surest first


class Output(Params):
    """The output with the vectors: (B, D), or (B, positions, D), of which the first position counts."""

    name: str
    dim: int | None  # D; None if the file does not state it
    is_first: bool
    kind: Literal["float32", "float16"]


class PicturePorts(Params):
    """The one input of a picture network, (B, 3, H, W), and its output."""

    num_bytes: int  # of the file
    pixels: str
    kind: Literal["float32", "float16"]
    size_px: int | None  # None if the file takes any
    is_single: bool  # B is 1
    output: Output


class TextPorts(Params):
    """The inputs of a text network, each (B, L), and its output."""

    num_bytes: int  # of the file
    token_ids: str
    mask: str | None
    zeros: tuple[str, ...]  # inputs that tell sentences of a pair apart
    kind: Literal["int64", "int32"]
    length: int | None  # L; None if the file takes any
    is_single: bool  # B is 1
    output: Output


def read_picture_ports(model: onnx.ModelProto, *, num_bytes: int, file: str, output: str | None = None) -> PicturePorts:
    """Read a picture network; `output` names its output if there are several.

    Raises:
        ValueError: naming the file and its inputs or outputs.
    """
    inputs = _list_inputs(model)
    if len(inputs) != 1 or len(_shape(inputs[0])) != 4 or _kind(inputs[0]) not in _FLOATS:
        raise ValueError(f"{file} takes {_spell(inputs)}; a picture network takes only pictures (B, 3, H, W)")
    batch, channels, height, width = _shape(inputs[0])
    if channels not in (None, 3) or height != width or batch not in (None, 1):
        raise ValueError(f"{file} takes {_spell(inputs)}; pictures must be squares (B, 3, H, H), any number or one at a time")
    return PicturePorts.model_validate(
        {
            "num_bytes": num_bytes,
            "pixels": inputs[0].name,
            "kind": _FLOATS[_kind(inputs[0])],
            "size_px": height,
            "is_single": batch == 1,
            "output": _read_output(model, file, output),
        }
    )


def read_text_ports(model: onnx.ModelProto, *, num_bytes: int, file: str, output: str | None = None) -> TextPorts:
    """Read a text network; `output` names its output if there are several.

    Raises:
        ValueError: naming the file and its inputs or outputs.
    """
    inputs = _list_inputs(model)
    masks = [one for one in inputs if "mask" in one.name]
    types = [one for one in inputs if "type" in one.name]
    ids = [one for one in inputs if one not in masks and one not in types]
    kinds = {_kind(one) for one in inputs}
    if len(ids) != 1 or len(masks) > 1 or len(kinds) != 1 or not kinds <= _INTEGERS.keys():
        raise ValueError(f"{file} takes {_spell(inputs)}; a text network takes integer ids (B, L), with or without their mask")
    shapes = {_shape(one) for one in inputs}
    if any(len(shape) != 2 or shape[0] not in (None, 1) for shape in shapes):
        raise ValueError(f"{file} takes {_spell(inputs)}; inputs must be (B, L), any number of sentences or one at a time")
    return TextPorts.model_validate(
        {
            "num_bytes": num_bytes,
            "token_ids": ids[0].name,
            "mask": masks[0].name if masks else None,
            "zeros": [one.name for one in types],
            "kind": _INTEGERS[kinds.pop()],
            "length": _shape(ids[0])[1],
            "is_single": _shape(ids[0])[0] == 1,
            "output": _read_output(model, file, output),
        }
    )


def _read_output(model: onnx.ModelProto, file: str, name: str | None) -> dict[str, Any]:
    outputs = [one for one in model.graph.output if _kind(one) in _FLOATS and len(_shape(one)) in (2, 3)]
    if name is not None:
        outputs = [one for one in outputs if one.name == name]
    vectors = [one for one in outputs if len(_shape(one)) == 2] or outputs
    for end in _EMBEDDING if len(vectors) > 1 else ():
        if named := [one for one in vectors if one.name.endswith(end)]:
            vectors = named
            break
    if len(vectors) != 1:
        asked = "" if name is None else f" and none of vectors is called {name!r}"
        raise ValueError(f"{file} gives {_spell(model.graph.output)}{asked}; name the one that holds the vectors in the preset")
    found = vectors[0]
    shape = _shape(found)
    return {"name": found.name, "dim": shape[-1], "is_first": len(shape) == 3, "kind": _FLOATS[_kind(found)]}


def _list_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs; old files list their weights among them."""
    weights = {weight.name for weight in model.graph.initializer}
    return [one for one in model.graph.input if one.name not in weights]


def _kind(value: onnx.ValueInfoProto) -> int:
    return int(value.type.tensor_type.elem_type)


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Return the lengths of the axes, None for free axes."""
    return tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in value.type.tensor_type.shape.dim)


def _spell(values: Sequence[onnx.ValueInfoProto]) -> str:
    spelled = [f"{one.name} {['?' if axis is None else axis for axis in _shape(one)]}" for one in values]
    return ", ".join(spelled) or "nothing"

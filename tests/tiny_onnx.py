"""Tiny pairs of ONNX files as people publish them: other names, types and outputs, the same two linear networks inside."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tiny_text import CLIP_PICTURES, train_byte_pairs

DIM, IMAGE_PX, VOCABULARY = 6, 16, 600
_TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64, "int32": TensorProto.INT32}


def draw_weights(*shape: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_pictures(
    *,
    pixels: str = "pixel_values",
    output: str = "image_embeds",
    kind: str = "float32",
    is_first: bool = False,
    others: Sequence[str] = (),
    opset: int = 14,
    batch: Any = "batch",
) -> onnx.ModelProto:
    """Return a network that pools pictures to 4 x 4 and projects them; `is_first` puts the vector before others, (B, 2, D)."""
    weights = draw_weights(3 * 16, DIM, seed=1)
    nodes = [
        helper.make_node("Cast", [pixels], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["wide"], ["pooled_pixels"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["pooled_pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["vector"]),
    ]
    return _finish(
        nodes,
        [helper.make_tensor_value_info(pixels, _TYPES[kind], [batch, 3, IMAGE_PX, IMAGE_PX])],
        {"weights": weights},
        output=output,
        kind=kind,
        is_first=is_first,
        others=others,
        opset=opset,
    )


def make_sentences(
    *,
    takes: tuple[str, str | None, str | None] = ("input_ids", None, None),
    output: str = "text_embeds",
    kind: str = "int64",
    length: int | None = None,
    is_first: bool = False,
    others: Sequence[str] = (),
    opset: int = 14,
    batch: Any = "batch",
) -> onnx.ModelProto:
    """Return a network whose sentence is the sum of its tokens' vectors, padding too; with a mask, the sum where it is 1.

    It takes ids, perhaps a mask, perhaps the types of tokens.
    """
    ids, mask, types = takes
    shape = [batch, length or "sequence"]
    inputs = [helper.make_tensor_value_info(name, _TYPES[kind], shape) for name in (ids, mask, types) if name]
    nodes = [helper.make_node("Gather", ["table", ids], ["rows"])]
    rows, one = "rows", helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    if mask:
        nodes += [
            helper.make_node("Cast", [mask], ["wide_mask"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["wide_mask", "columns"], ["column_mask"]),
            helper.make_node("Mul", ["rows", "column_mask"], ["masked"]),
        ]
        rows = "masked"
    if types:
        nodes += [
            helper.make_node("Cast", [types], ["wide_types"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["wide_types", "columns"], ["column_types"]),
            helper.make_node("Add", [rows, "column_types"], ["typed"]),
        ]
        rows = "typed"
    nodes += [  # the sum over tokens, in operators that all opsets have: ones (1, L) @ rows (B, L, D)
        helper.make_node("Shape", [ids], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
        helper.make_node("Concat", ["one", "length"], ["row_shape"], axis=0),
        helper.make_node("ConstantOfShape", ["row_shape"], ["ones"], value=one),
        helper.make_node("MatMul", ["ones", rows], ["summed"]),
        helper.make_node("Reshape", ["summed", "vector_shape"], ["vector"]),
    ]
    constants = {
        "table": draw_weights(VOCABULARY, DIM, seed=2),
        "columns": np.asarray([0, 0, 1], dtype=np.int64),
        "one": np.asarray([1], dtype=np.int64),
        "vector_shape": np.asarray([-1, DIM], dtype=np.int64),
    }
    return _finish(nodes, inputs, constants, output=output, kind="float32", is_first=is_first, others=others, opset=opset)


def _finish(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    constants: dict[str, NDArray[Any]],
    *,
    output: str,
    kind: str,
    is_first: bool,
    others: Sequence[str],
    opset: int,
) -> onnx.ModelProto:
    constants = constants | {"row": np.asarray([-1, 1, DIM], dtype=np.int64)}
    wide = "vector"
    if is_first:
        nodes += [
            helper.make_node("Reshape", ["vector", "row"], ["first"]),
            helper.make_node("Neg", ["first"], ["second"]),
            helper.make_node("Concat", ["first", "second"], ["both"], axis=1),
        ]
        wide = "both"
    nodes.append(helper.make_node("Cast", [wide], [output], to=_TYPES[kind]))
    nodes += [helper.make_node("Neg", [output], [other]) for other in others]
    shape = ["batch", 2, DIM] if is_first else ["batch", DIM]
    outputs = [helper.make_tensor_value_info(name, _TYPES[kind], shape) for name in (*others, output)]
    weights = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def save_pair(folder: Path, pictures: onnx.ModelProto, sentences: onnx.ModelProto, *, subfolder: str = "onnx") -> Path:
    """Write both networks, a tokenizer and how pictures are prepared."""
    (folder / subfolder).mkdir(parents=True)
    onnx.save(pictures, folder / subfolder / "vision_model.onnx")
    onnx.save(sentences, folder / subfolder / "text_model.onnx")
    (folder / "tokenizer.json").write_text(train_byte_pairs(), encoding="utf-8")
    values = CLIP_PICTURES | {"size": IMAGE_PX, "crop_size": IMAGE_PX}
    (folder / "preprocessor_config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder

"""Conversion of published ONNX networks to the inputs and outputs of a bundle: adds nodes in the file's operator set.

Letters: S clips, K frames of a clip, H height, W width, B sentences, L tokens, N length of a padded sentence, D width.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from corpus.text import PADDING
from models.encoders.pretrained.onnx.ports import Output, PicturePorts, TextPorts

_OWN, _THEIRS = "cuepoint_", "published_"  # prefixes of added names, and of names in the published file
_KINDS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64, "int32": TensorProto.INT32}


class _Input(NamedTuple):
    """An input of a published network that takes a single row: the rows, and the name, type and shape of a row's input."""

    rows: str
    name: str
    kind: int
    shape: str


class _Graph:
    """A network that grows at both ends. A network that takes a single row becomes the body of a loop over rows."""

    def __init__(self, content: bytes, output: Output, *, is_single: bool) -> None:
        self.model = onnx.compose.add_prefix(onnx.load_model_from_string(content), _THEIRS)
        self.front: list[onnx.NodeProto] = []
        self.behind: list[onnx.NodeProto] = []
        self._nodes = self.front
        self._count = 0
        self._output, self._is_single, self._inputs = output, is_single, list[_Input]()

    def go_behind(self) -> None:
        self._nodes = self.behind

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        self._count += 1
        output = name or f"{_OWN}{self._count}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name=f"{_OWN}node_{self._count}", **attributes))
        return output

    def constant(self, values: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self._count += 1
        name = f"{_OWN}constant_{self._count}"
        self.model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def shape(self, *lengths: int) -> str:
        return self.constant(np.asarray(lengths, dtype=np.int64))

    def feed(self, values: str, name: str, kind: str, *, row: Sequence[int]) -> None:
        """Give the network an input, (B, ...); `row` is the shape of one row, with the axis B."""
        if self._is_single:
            rows = self.add("Cast", values, to=_KINDS[kind])
            self._inputs.append(_Input(rows, _THEIRS + name, _KINDS[kind], self.shape(*row)))
        else:
            self.add("Cast", values, name=_THEIRS + name, to=_KINDS[kind])

    def take(self) -> str:
        """Return the vectors of the network, (B, D) in float32."""
        self.go_behind()
        name = f"{_OWN}rows" if self._is_single else _THEIRS + self._output.name
        if self._output.is_first:
            name = self.add("Gather", name, self.constant(np.asarray(0, dtype=np.int64)), axis=1)
        return self.add("Cast", name, to=TensorProto.FLOAT)

    def finish(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> bytes:
        """Return the file with these inputs and outputs."""
        graph, own = self.model.graph, list(self.model.graph.node)
        own = [self._loop(own)] if self._is_single else own
        weights = {weight.name for weight in graph.initializer}
        listed = [one for one in graph.input if one.name in weights]  # old files list their weights as inputs
        for field, values in (("node", [*self.front, *own, *self.behind]), ("input", [*inputs, *listed]), ("output", outputs)):
            graph.ClearField(field)
            getattr(graph, field).extend(values)
        graph.ClearField("value_info")  # recorded shapes, which are wrong inside a loop over rows
        content: bytes = self.model.SerializeToString(deterministic=True)
        return content

    def _loop(self, own: Sequence[onnx.NodeProto]) -> onnx.NodeProto:
        """Return a node that runs these nodes row by row; weights stay outside."""
        shape = self.shape(*([-1, _require_dim(self._output)] if self._output.is_first else [-1]))
        before = [helper.make_node("Reshape", [f"{one.rows}_row", one.shape], [one.name]) for one in self._inputs]
        after = helper.make_node("Reshape", [_THEIRS + self._output.name, shape], [f"{_OWN}row"])
        inputs = [helper.make_tensor_value_info(f"{one.rows}_row", one.kind, None) for one in self._inputs]
        outputs = [helper.make_tensor_value_info(f"{_OWN}row", _KINDS[self._output.kind], None)]
        body = helper.make_graph([*before, *own, after], f"{_OWN}body", inputs, outputs)
        rows = [one.rows for one in self._inputs]
        return helper.make_node("Scan", rows, [f"{_OWN}rows"], name=f"{_OWN}loop", body=body, num_scan_inputs=len(rows))


def compose_pictures(
    content: bytes, ports: PicturePorts, *, num_frames: int, size_px: int, mean: Sequence[float], scale: Sequence[float]
) -> bytes:
    """Return a picture network that turns `clips` (S, K, H, W, 3) uint8 into `features` (S, 1, D), the mean over frames."""
    graph = _Graph(content, ports.output, is_single=ports.is_single)
    rows = graph.add("Reshape", "clips", graph.shape(-1, size_px, size_px, 3))
    levels = graph.add("Cast", graph.add("Transpose", rows, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    means, scales = (graph.constant(np.asarray(values, dtype=np.float32)[:, None, None]) for values in (mean, scale))
    pixels = graph.add("Div", graph.add("Sub", levels, means), scales)
    graph.feed(pixels, ports.pixels, ports.kind, row=(1, 3, size_px, size_px))
    vectors = graph.add("Reshape", graph.take(), graph.shape(-1, num_frames, _require_dim(ports.output)))
    weights = graph.constant(np.full((1, num_frames), 1 / num_frames, dtype=np.float32))
    graph.add("MatMul", weights, vectors, name="features")  # (1, K) @ (S, K, D) -> (S, 1, D)
    shape = ["clips", num_frames, size_px, size_px, 3]
    return graph.finish(
        [helper.make_tensor_value_info("clips", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["clips", 1, ports.output.dim])],
    )


def compose_sentences(content: bytes, ports: TextPorts, *, padding_id: int, length: int | None) -> bytes:
    """Return a text network that turns `token_ids` (B, L) of a tokenizer here into `tokens`, `token_mask` and `pooled`.

    Sentences are padded with `padding_id` to `length`; None adds no padding.
    """
    graph = _Graph(content, ports.output, is_single=ports.is_single)
    padding = graph.constant(np.asarray([[PADDING]], dtype=np.int64))
    graph.add("Not", graph.add("Equal", "token_ids", padding), name="token_mask")
    counted = graph.add("Sub", "token_ids", graph.constant(np.asarray([[1]], dtype=np.int64)))
    fill = graph.constant(np.asarray([[padding_id]], dtype=np.int64))
    ids = graph.add("Where", "token_mask", counted, fill)
    seen = graph.add("Cast", "token_mask", to=TensorProto.INT64)
    inputs = {ports.token_ids: (ids, padding_id)} | {name: (graph.add("Sub", seen, seen), 0) for name in ports.zeros}
    inputs |= {ports.mask: (seen, 0)} if ports.mask is not None else {}
    for name, (values, value) in inputs.items():
        graph.feed(_add_padding(graph, values, value, length), name, ports.kind, row=(1, -1))
    graph.add("Identity", graph.take(), name="pooled")
    rows = graph.add("Reshape", "pooled", graph.shape(0, 1, _require_dim(ports.output)))  # (B, 1, D)
    words = graph.add("Reshape", graph.add("Cast", "token_mask", to=TensorProto.FLOAT), graph.shape(0, 0, 1))  # (B, L, 1)
    graph.add("Mul", rows, words, name="tokens")
    dim, free = ports.output.dim, ["batch", "words"]
    return graph.finish(
        [helper.make_tensor_value_info("token_ids", TensorProto.INT64, free)],
        [
            helper.make_tensor_value_info("tokens", TensorProto.FLOAT, [*free, dim]),
            helper.make_tensor_value_info("token_mask", TensorProto.BOOL, free),
            helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", dim]),
        ],
    )


def _add_padding(graph: _Graph, ids: str, value: int, length: int | None) -> str:
    """Add nodes that pad (B, L) to (B, length), and cut later tokens."""
    if length is None:
        return ids
    empty = graph.add("Sub", ids, ids)  # (B, L) of 0; its first column makes a row of padding for each sentence
    first = graph.add("Gather", empty, graph.constant(np.asarray([0], dtype=np.int64)), axis=1)  # (B, 1)
    padding = graph.add("Add", first, graph.constant(np.full((1, length), value, dtype=np.int64)))  # (B, length)
    joined = graph.add("Concat", ids, padding, axis=1)
    return graph.add("Gather", joined, graph.constant(np.arange(length, dtype=np.int64)), axis=1)


def _require_dim(output: Output) -> int:
    assert output.dim is not None, "encoders record the width"
    return output.dim

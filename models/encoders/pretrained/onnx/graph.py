"""An ONNX file as a module. Its bytes are a buffer, so encoders save, hash and verify them like weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class OnnxGraph(nn.Module):
    """Runs a published ONNX file under onnxruntime, on the CPU whatever the device of its inputs."""

    file: Tensor

    def __init__(self, num_bytes: int) -> None:
        """Reserve a buffer of this length; the file is loaded later."""
        super().__init__()
        self.register_buffer("file", torch.zeros(num_bytes, dtype=torch.uint8))
        self._session: Any = None

    @classmethod
    def from_bytes(cls, content: bytes) -> "OnnxGraph":
        """Hold the content of a file."""
        graph = cls(len(content))
        graph.file.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        return graph

    def read(self) -> bytes:
        """Return the content of the file."""
        content: bytes = self.file.cpu().numpy().tobytes()
        return content

    def forward(self, inputs: Mapping[str, NDArray[Any]], output: str, *, one_by_one: bool = False) -> Tensor:
        """Return one output in float32 on the device of this module; `one_by_one` runs the network row by row."""
        count = len(next(iter(inputs.values())))
        slices = [slice(row, row + 1) for row in range(count)] if one_by_one else [slice(None)]
        parts = [self._open().run([output], {name: values[rows] for name, values in inputs.items()})[0] for rows in slices]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32)).to(self.file.device)

    def _load_from_state_dict(self, *arguments: Any, **named: Any) -> None:
        self._session = None  # it runs the former file; `_open` makes one of the new file
        super()._load_from_state_dict(*arguments, **named)

    def _open(self) -> Any:
        if self._session is None:
            runtime = import_onnxruntime()
            options = runtime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 3  # only errors: warnings about published files have no remedy
            self._session = runtime.InferenceSession(self.read(), options, providers=["CPUExecutionProvider"])
        return self._session

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the session, which cannot be copied; `_open` rebuilds it from the file."""
        return {**self.__dict__, "_session": None}


def import_onnxruntime() -> Any:
    """Return the package `onnxruntime`, which runs networks of bundles and published ONNX files.

    Raises:
        ImportError: naming the extra, when it is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ImportError("this encoder needs the package onnxruntime; install it: pip install 'cuepoint[serve]'") from error
    return onnxruntime


class ModelFile(NamedTuple):
    """A published network as one message, and the files that hold it."""

    path: Path
    model: onnx.ModelProto
    files: list[Path]  # the file, and the weight files beside it

    def load(self) -> OnnxGraph:
        """Return the network with all its weights in one file."""
        return OnnxGraph.from_bytes(self.model.SerializeToString(deterministic=True))


def read_model(path: Path) -> ModelFile:
    """Read an ONNX file and its weight files.

    Raises:
        ValueError: naming a file that is not ONNX, lacks weights, or is too large for one message.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        places = {entry.value for one in model.graph.initializer for entry in one.external_data if entry.key == "location"}
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # protobuf's parser raises private error classes
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{path} cannot be read as ONNX: {reason}; copy it again, with the data files beside it") from error
    if model.ByteSize() >= onnx.checker.MAXIMUM_PROTOBUF:
        raise ValueError(f"{path} holds {model.ByteSize()} bytes, the limit is 2 GiB; take a smaller network or its fp16 form")
    return ModelFile(path, model, [path, *(path.with_name(place) for place in sorted(places))])

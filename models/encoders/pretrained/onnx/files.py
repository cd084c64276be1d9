"""Files of a published pair of ONNX networks: two networks, a tokenizer, and the picture preparation."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import Field

from models.encoders.pretrained.onnx.graph import ModelFile, OnnxGraph, read_model
from models.encoders.pretrained.source import PICTURES, TOKENIZER, SourceParams

PICTURE_FILE, TEXT_FILE = "vision_model.onnx", "text_model.onnx"
_FOLDERS = ("", "onnx")  # folders of the source that are searched for files


class OnnxSourceParams(SourceParams):
    """A folder of ONNX networks. Files are looked for in `folder`, then in the source, then in its folder `onnx`."""

    folder: str | None = Field(default=None, min_length=1)  # of the source, if it holds networks of several sizes
    file: str | None = Field(default=None, min_length=1)  # of the network
    output: str | None = None  # the output with the vectors, if the network gives several

    def read_network(self, default: str) -> ModelFile:
        """Return the network of the source.

        Raises:
            FileNotFoundError: when the source lacks it.
            ValueError: when it is not ONNX, or too large.
        """
        return read_model(self.find_file(self.file or default))

    def find_file(self, name: str) -> Path:
        """Return a file of the source.

        Raises:
            FileNotFoundError: naming the folders that were searched.
        """
        own = f"{self.folder}/{name}" if self.folder else f"*{name}"  # other folders of the hub hold other sizes
        root = self.find_folder([own, f"{own}_data", f"{own}.data", f"*{TOKENIZER}", f"*{PICTURES}"])
        folders = [root / folder for folder in (*([self.folder] if self.folder else []), *_FOLDERS)]
        found = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if found is None:
            places = ", ".join(map(str, folders))
            raise FileNotFoundError(f"there is no {name} in {places}; copy it from where the model is published")
        return found

    def record_source(self, network: ModelFile) -> dict[str, Any]:
        """Return what `describe` records of the source, with the hashes of this network's files.

        Raises:
            ValueError: when the preset states something else, or does not accept a licence that forbids commercial use.
        """
        names, stated = {path.name for path in network.files}, self.weights_sha256
        here = None if stated is None else {name: sha256 for name, sha256 in stated.items() if name in names}
        return self.describe(self.find_folder([]), network.files, stated=here)


def measure_dim(graph: OnnxGraph, inputs: dict[str, NDArray[Any]], output: str) -> int:
    """Return the width of an output by running the network once."""
    return int(graph(inputs, output).shape[-1])

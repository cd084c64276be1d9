"""The text tower of a published ONNX file, frozen. Letters: B sentences, L tokens, D width of the space shared with pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt
from torch import Tensor

from corpus.text import PADDING, Cleaning, PretrainedTokenizer
from models.contracts.batches import TextFeatures
from models.contracts.roles import OnnxEncoder, TextEncoder, TextEncoderParams, TextStart
from models.encoders.pretrained.onnx.composing import compose_sentences
from models.encoders.pretrained.onnx.files import TEXT_FILE, OnnxSourceParams, measure_dim
from models.encoders.pretrained.onnx.graph import OnnxGraph
from models.encoders.pretrained.onnx.ports import TextPorts, read_text_ports
from models.encoders.pretrained.reading import find_padding
from models.encoders.pretrained.source import TOKENIZER

_DEFAULT_LENGTH = 77  # of CLIP


class OnnxText(TextEncoder, OnnxEncoder):
    """Any network from token ids to vectors of sentences. Such files give no vectors of tokens: each gets the sentence's.

    Source: own design. The network runs under onnxruntime on the processor, also where torch runs elsewhere.
    """

    def __init__(self, graph: OnnxGraph, ports: TextPorts, params: "OnnxTextParams") -> None:
        """Hold a network and what its inputs and outputs are called."""
        super().__init__()
        self.graph, self.ports = graph, ports
        assert params.padding_id is not None, "OnnxTextParams.complete finds it"
        self.padding_id, self.length = params.padding_id, params.max_tokens if params.is_padded else None

    def forward(self, token_ids: Tensor) -> TextFeatures:
        """Encode (B, L) int64."""
        mask = token_ids != PADDING  # (B, L)
        inputs = self.make_inputs(token_ids.cpu().numpy())
        found: Tensor = self.graph(inputs, self.ports.output.name, one_by_one=self.ports.is_single)
        pooled = found[:, 0] if self.ports.output.is_first else found  # (B, D)
        return TextFeatures(pooled[:, None] * mask[..., None], mask, pooled)

    def make_inputs(self, token_ids: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Return what the network takes: ids of a tokenizer here, (B, L), counted from 0 and padded as it was trained."""
        mask = token_ids != PADDING
        ids = self._pad(np.where(mask, token_ids - 1, self.padding_id), self.padding_id)
        inputs = {self.ports.token_ids: ids}
        if self.ports.mask is not None:
            inputs[self.ports.mask] = self._pad(mask.astype(np.int64), 0)
        inputs |= {name: np.zeros_like(ids) for name in self.ports.zeros}
        return {name: values.astype(self.ports.kind) for name, values in inputs.items()}

    def _pad(self, rows: NDArray[np.int64], value: int) -> NDArray[np.int64]:
        if self.length is None:
            return rows
        return np.pad(rows, ((0, 0), (0, self.length)), constant_values=value)[:, : self.length]

    def to_onnx(self) -> bytes:
        """Return the file of a bundle: `token_ids` (B, L) int64 -> `tokens` (B, L, D), `token_mask` (B, L), `pooled` (B, D)."""
        return compose_sentences(self.graph.read(), self.ports, padding_id=self.padding_id, length=self.length)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: nothing here learns."""
        return super().train(False)


class OnnxTextParams(OnnxSourceParams, TextEncoderParams):
    """Values of `OnnxText`."""

    name: Literal["onnx_text"]
    max_tokens: int | None = Field(default=None, ge=4)  # of a sentence; none: the file's length, otherwise 77
    padding_id: NonNegativeInt | None = None  # by which shorter sentences are filled; none: that of the tokenizer's files
    is_padded: bool | None = None  # to max_tokens, as SigLIP was trained; null: only if the file has a fixed length
    text_cleaning: Cleaning = "composed"  # of sentences, before the tokenizer
    ports: TextPorts | None = None  # of the network; pretraining records them

    def build(self, vocabulary_size: int) -> OnnxText:
        """Return an encoder whose file waits to be loaded.

        Raises:
            ValueError: when the network has not been read from the source.
        """
        if self.ports is None:
            raise ValueError(f"{self.source}: the network is not known before pretraining; run: dvc repro pretrain")
        return OnnxText(OnnxGraph(self.ports.num_bytes), self.ports, self)

    def start(self, texts: Sequence[str]) -> TextStart:
        """Load network and tokenizer from the source.

        Raises:
            FileNotFoundError: when the source lacks a file.
            ValueError: when the network takes no sentences, or sentences of another length.
        """
        network, path = self.read_network(TEXT_FILE), self.find_file(TOKENIZER)
        graph = network.load()
        ports = read_text_ports(network.model, num_bytes=len(graph.file), file=str(network.path), output=self.output)
        own = self.complete(ports, padding_id=find_padding(path.parent), file=network.path)
        inputs = OnnxText(graph, ports, own).make_inputs(np.full((1, 4), 1))
        dim = measure_dim(graph, inputs, ports.output.name)
        ports = ports.model_copy(update={"output": ports.output.model_copy(update={"dim": dim})})
        params = own.model_copy(update={"ports": ports, **self.record_source(network)})
        assert params.max_tokens is not None
        tokenizer = PretrainedTokenizer.load(path, self.text_cleaning).cut(params.max_tokens)
        return TextStart(params, tokenizer, OnnxText(graph, ports, params))

    def complete(self, ports: TextPorts, *, padding_id: int | None, file: Path) -> Self:
        """Return these values, completed by the values of the files.

        Raises:
            ValueError: when length or padding differ from the file's, or no file states the padding.
        """
        length = self.max_tokens or ports.length or _DEFAULT_LENGTH
        is_padded = ports.length is not None if self.is_padded is None else self.is_padded
        if ports.length is not None and (not is_padded or ports.length != length):
            raise ValueError(
                f"{file} takes exactly {ports.length} tokens; set max_tokens to {ports.length} and is_padded to "
                f"true, got {length} and {str(is_padded).lower()}"
            )
        found = padding_id if self.padding_id is None else self.padding_id
        if found is None:
            raise ValueError(f"no file beside {file} tells which id fills shorter sentences; set padding_id")
        return self.model_copy(update={"max_tokens": length, "is_padded": is_padded, "padding_id": found})

"""Deterministic export of trained models: the ONNX networks of a bundle, with their tensor names.

Letters: B rows, S clips, K frames and T samples of a clip, N cells, P places, L words, M candidates, D widths, E embedding
width.
"""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from corpus.stream_names import name_encoder, name_features
from models.artefacts.exporting.lstm import replace_lstms
from models.contracts.batches import TextFeatures, VideoFeatures
from models.contracts.roles import ClipEncoder, Localizer, OnnxEncoder, Retriever, TextEncoder

OPSET = 20
_TEXT = {"tokens": ("batch", "words"), "token_mask": ("batch", "words"), "pooled": ("batch",)}


@dataclass(frozen=True)
class OnnxNetwork:
    """A network to export. `inputs` maps each input to the names of its leading dynamic axes."""

    name: str
    module: nn.Module
    inputs: Mapping[str, tuple[str, ...]]
    outputs: tuple[str, ...]
    encoder: object = None  # that the module holds

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs of the torch network by name."""
        return dict(zip(self.outputs, self.module(*(inputs[name] for name in self.inputs)), strict=True))

    def export(self, example: Mapping[str, Tensor]) -> bytes:
        """Return the ONNX file, the same bytes for equal weights; free axes of `example` must be longer than 1."""
        if isinstance(self.encoder, OnnxEncoder):
            return self.encoder.to_onnx()
        axes = {name: Dim(name) for names in self.inputs.values() for name in names}
        module = _Positional(replace_lstms(self.module)).eval()
        shapes = tuple({axis: axes[name] for axis, name in enumerate(names)} for names in self.inputs.values())
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            for name in ("torch.onnx", "onnxscript"):
                logging.getLogger(name).setLevel(logging.ERROR)
            program = torch.onnx.export(
                module,
                tuple(example[name] for name in self.inputs),
                dynamo=True,
                input_names=list(self.inputs),
                output_names=list(self.outputs),
                dynamic_shapes=(shapes,),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        if program is None:
            raise ValueError(f"torch exported no ONNX program for the network {self.name!r}")
        model = program.model_proto
        _strip_origin(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def _strip_origin(message: Any) -> None:
    """Remove stack traces and other notes on the origin of nodes, which hold paths of this machine."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                _strip_origin(part)


def build_encoder_network(stream: str, encoder: ClipEncoder) -> OnnxNetwork:
    """Build the network `clips` of one video in order -> `features` (S, P, D) of a stream.

    Clips of pictures are (S, K, H, W, 3) uint8, those of sound (S, T) float32.
    """
    return OnnxNetwork(name_encoder(stream), _EncoderNetwork(encoder), {"clips": ("clips",)}, ("features",), encoder)


def build_text_network(encoder: TextEncoder) -> OnnxNetwork:
    """Build `token_ids` (B, L) int64 -> `tokens` (B, L, D), `token_mask` (B, L) bool, `pooled` (B, D)."""
    return OnnxNetwork("text_encoder", encoder, {"token_ids": ("batch", "words")}, tuple(_TEXT), encoder)


def build_clip_network(retriever: Retriever) -> OnnxNetwork:
    """Build the network `features_<stream>` (S, P, D) of each read stream -> `vectors` (S, E), unit length."""
    inputs = dict.fromkeys(map(name_features, retriever.streams), ("clips",))
    return OnnxNetwork("retriever_clips", _ClipNetwork(retriever), inputs, ("vectors",))


def build_query_network(retriever: Retriever) -> OnnxNetwork:
    """Build the network from encoded sentences to `vectors` (B, E), unit length."""
    return OnnxNetwork("retriever_queries", _QueryNetwork(retriever), _TEXT, ("vectors",))


def build_localizer_network(localizer: Localizer) -> OnnxNetwork:
    """Build the network from cells and encoded sentences to `spans` (B, M, 2), `scores` and `valid` (B, M).

    Cells are `features_<stream>` (B, N, P, D) of each read stream, with `mask` (B, N) and `duration_s` (B,).
    """
    inputs = dict.fromkeys([*map(name_features, localizer.streams), "mask", "duration_s"], ("batch",)) | _TEXT
    return OnnxNetwork("localizer", _LocalizerNetwork(localizer), inputs, ("spans", "scores", "valid"))


class _Positional(nn.Module):
    """Wrapper with any number of inputs; `torch.export` nests shapes of named arguments differently from those of `*inputs`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        return self.module(*inputs)


class _EncoderNetwork(nn.Module):
    def __init__(self, encoder: ClipEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, clips: Tensor) -> tuple[Tensor]:
        return (self.encoder.encode_clips(clips),)


class _ClipNetwork(nn.Module):
    def __init__(self, retriever: Retriever) -> None:
        super().__init__()
        self.retriever = retriever

    def forward(self, *features: Tensor) -> tuple[Tensor]:
        return (self.retriever.embed_clips(dict(zip(self.retriever.streams, features, strict=True))),)


class _QueryNetwork(nn.Module):
    def __init__(self, retriever: Retriever) -> None:
        super().__init__()
        self.retriever = retriever

    def forward(self, tokens: Tensor, token_mask: Tensor, pooled: Tensor) -> tuple[Tensor]:
        return (self.retriever.embed_queries(TextFeatures(tokens, token_mask, pooled)),)


class _LocalizerNetwork(nn.Module):
    def __init__(self, localizer: Localizer) -> None:
        super().__init__()
        self.localizer = localizer

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        names = self.localizer.streams
        streams = dict(zip(names, inputs, strict=False))  # the other inputs follow the streams
        mask, duration_s, tokens, token_mask, pooled = inputs[len(names) :]
        found = self.localizer(VideoFeatures(streams, mask, duration_s), TextFeatures(tokens, token_mask, pooled))
        return found.spans, found.scores, found.valid

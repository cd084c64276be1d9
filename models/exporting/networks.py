"""Trained models as ONNX files: the networks of a bundle with their tensor names, and an export that gives equal bytes.

Letters: B rows, S clips, K frames of a clip, N cells, P places, L words, M candidates, D widths, E embedding width.
"""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from models.exchange.batches import TextFeatures, VideoFeatures
from models.exchange.roles import Localizer, Retriever, TextEncoder, VideoEncoder
from models.exporting.lstm import replace_lstms

OPSET = 20
_TEXT = {"tokens": ("batch", "words"), "token_mask": ("batch", "words"), "pooled": ("batch",)}


@dataclass(frozen=True)
class OnnxNetwork:
    """A network to export. `inputs` maps each input to the names of its leading axes of free length."""

    name: str
    module: nn.Module
    inputs: Mapping[str, tuple[str, ...]]
    outputs: tuple[str, ...]

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs of the torch network by name."""
        return dict(zip(self.outputs, self.module(*(inputs[name] for name in self.inputs)), strict=True))

    def export(self, example: Mapping[str, Tensor]) -> bytes:
        """Return the ONNX file, the same bytes for equal weights; free axes of `example` must be longer than 1."""
        axes = {name: Dim(name) for names in self.inputs.values() for name in names}
        module = replace_lstms(self.module).eval()
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
                dynamic_shapes=tuple({axis: axes[name] for axis, name in enumerate(names)} for names in self.inputs.values()),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        if program is None:
            raise ValueError(f"torch gave no ONNX program for the network {self.name!r}")
        model = program.model_proto
        _strip_origin(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def _strip_origin(message: Any) -> None:
    """Remove stack traces and other notes on where a node came from: they hold paths of this machine."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                _strip_origin(part)


def build_video_network(encoder: VideoEncoder) -> OnnxNetwork:
    """`clips` (S, K, H, W, 3) uint8 -> `features` (S, P, D), the clips of one video in order."""
    return OnnxNetwork("video_encoder", _VideoNetwork(encoder), {"clips": ("clips",)}, ("features",))


def build_text_network(encoder: TextEncoder) -> OnnxNetwork:
    """`token_ids` (B, L) int64 -> `tokens` (B, L, D), `token_mask` (B, L) bool, `pooled` (B, D)."""
    return OnnxNetwork("text_encoder", encoder, {"token_ids": ("batch", "words")}, tuple(_TEXT))


def build_clip_network(retriever: Retriever) -> OnnxNetwork:
    """`features` (S, P, D) -> `vectors` (S, E), unit length."""
    return OnnxNetwork("retriever_clips", _ClipNetwork(retriever), {"features": ("clips",)}, ("vectors",))


def build_query_network(retriever: Retriever) -> OnnxNetwork:
    """Encoded sentences -> `vectors` (B, E), unit length."""
    return OnnxNetwork("retriever_queries", _QueryNetwork(retriever), _TEXT, ("vectors",))


def build_localizer_network(localizer: Localizer) -> OnnxNetwork:
    """Cells (B, N, P, D), `mask` (B, N), `duration_s` (B,), encoded sentences -> `spans` (B, M, 2), `scores`, `valid` (B, M)."""
    inputs = {"features": ("batch",), "mask": ("batch",), "duration_s": ("batch",)} | _TEXT
    return OnnxNetwork("localizer", _LocalizerNetwork(localizer), inputs, ("spans", "scores", "valid"))


class _VideoNetwork(nn.Module):
    def __init__(self, encoder: VideoEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, clips: Tensor) -> tuple[Tensor]:
        return (self.encoder(clips.flatten(0, 1)[None])[0],)


class _ClipNetwork(nn.Module):
    def __init__(self, retriever: Retriever) -> None:
        super().__init__()
        self.retriever = retriever

    def forward(self, features: Tensor) -> tuple[Tensor]:
        return (self.retriever.embed_clips(features),)


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

    def forward(
        self, features: Tensor, mask: Tensor, duration_s: Tensor, tokens: Tensor, token_mask: Tensor, pooled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        video, text = VideoFeatures(features, mask, duration_s), TextFeatures(tokens, token_mask, pooled)
        found = self.localizer(video, text)
        return found.spans, found.scores, found.valid

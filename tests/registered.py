"""Members of the registries, small models of them, and inputs of every role, for tests over all registries."""

from typing import Any, NamedTuple, get_args

import torch
from streams import as_video, video_dims
from torch import Tensor, nn

from corpus.media import ClipSampling, SoundSampling
from models.contracts.batches import Candidates, TextFeatures, VideoFeatures
from models.contracts.inputs import select_videos

NUM_PLACES, DIM = 4, 8
DIMS = video_dims(dim=DIM, num_places=NUM_PLACES, text_dim=8)
# Sizes that are enough for tests; a component without such a size keeps its values.
SMALL = {"num_layers": 2, "hidden_dim": 32, "text_hidden_dim": 16, "feedforward_dim": 32, "embedding_dim": 16}
SAMPLINGS = (
    ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16),
    SoundSampling(clip_rate_hz=2.0, window_s=1.0, rate_hz=16000),
)
# Published configurations of one network that differ in more than width: their kinds of maps, on few cells.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "tan2d_charades_conv": ("tan2d", {"proposals": "conv", "num_cells": 32, "clips_per_cell": 2, "scale_layers": (16,)}),
    "tan2d_tacos_pool": ("tan2d", {"num_cells": 32, "scale_layers": (8, 4, 4)}),
    "tan2d_tacos_conv": ("tan2d", {"proposals": "conv", "num_cells": 32, "scale_layers": (8, 4, 4)}),
    "tan2d_gcn": ("tan2d", {"neck": {"name": "gcn"}}),
}
DOWNLOADED = {
    "glove",
    "sentence_transformer",
    "clip_text",
    "clip_image",
    "onnx_image",
    "onnx_text",
}  # encoders that are read from files; they have their own tests


def list_members(registry: Any) -> list[Any]:
    """Return the schemas of a registry: a union, or the only member of a slot."""
    union = get_args(registry)[0] if hasattr(registry, "__metadata__") else registry
    return list(get_args(union)) or [union]


class Variant(NamedTuple):
    """A member of a registry with other values."""

    label: str
    member: Any
    values: dict[str, Any]


def list_distinct(registry: Any) -> list[Any]:
    """Return the members, and their variants that differ in more than width."""
    members = {name_of(member): member for member in list_members(registry)}
    variants = [Variant(label, members[name], values) for label, (name, values) in VARIANTS.items() if name in members]
    return [*members.values(), *variants]


def name_of(member: Any) -> str:
    if isinstance(member, Variant):
        return member.label
    return str(get_args(member.model_fields["name"].annotation)[0])


def fill(member: Any) -> Any:
    """Return small values of a component."""
    _, schema, own = member if isinstance(member, Variant) else Variant("", member, {})
    values = {key: value for key, value in SMALL.items() if key in schema.model_fields}
    if "sampling" in schema.model_fields:
        asked = schema.model_fields["sampling"].annotation
        values["sampling"] = next(sampling for sampling in SAMPLINGS if isinstance(sampling, asked))
    return schema.model_validate({"name": name_of(schema), **values, **own})


def build(member: Any) -> Any:
    """Return an untrained model with small values, in evaluation mode."""
    torch.manual_seed(3)
    return fill(member).build(DIMS).eval()


def make_video(num_rows: int, num_cells: int) -> VideoFeatures:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(num_rows, num_cells, NUM_PLACES, DIM, generator=generator)
    return as_video(features, torch.ones(num_rows, num_cells, dtype=torch.bool), torch.linspace(10.0, 40.0, num_rows))


def make_clips(num_clips: int) -> dict[str, Tensor]:
    """Return the clips of one video by stream, each (S, P, D)."""
    return {name: cells[0] for name, cells in make_video(1, num_clips).streams.items()}


def make_text(num_rows: int, *, num_words: int = 5) -> TextFeatures:
    tokens = torch.randn(num_rows, num_words, DIMS.text_dim, generator=torch.Generator().manual_seed(2))
    return TextFeatures(tokens, torch.ones(num_rows, num_words, dtype=torch.bool), tokens.sum(1))


def pad(text: TextFeatures, words: int) -> TextFeatures:
    tokens = nn.functional.pad(text.tokens, (0, 0, 0, words))
    return TextFeatures(tokens, nn.functional.pad(text.mask, (0, words)), text.pooled)


def take(video: VideoFeatures, text: TextFeatures, row: int) -> tuple[VideoFeatures, TextFeatures]:
    rows = slice(row, row + 1)
    return select_videos(video, torch.tensor([row])), TextFeatures(*(part[rows] for part in text))


def list_outputs(found: Candidates) -> list[Tensor]:
    """Return all outputs of candidates that a loss may read, including those of earlier layers."""
    own = [found.spans, found.scores, found.features, found.saliency, found.query, *list_points(found)]
    return [one for one in own if one is not None] + [one for part in found.auxiliary for one in list_outputs(part)]


def list_points(found: Candidates) -> list[Tensor]:
    return [found.points.foreground, found.points.centreness] if found.points else []


def list_idle(module: nn.Module, outputs: list[Tensor]) -> list[str]:
    """Return the names of the weights that no output gives a finite gradient."""
    named = dict(module.named_parameters())
    if not named:  # nothing to learn
        return []
    sum(one.float().square().sum() for one in outputs if one.requires_grad).backward()  # type: ignore[union-attr]
    return [name for name, weight in named.items() if weight.grad is None or not torch.isfinite(weight.grad).all()]

"""What tests over all registries share: the members of a registry, small models of them, and inputs of every role."""

from typing import Any, get_args

import torch
from torch import Tensor, nn

from corpus.media import ClipSampling
from models.exchange.batches import Candidates, InputDims, TextFeatures, VideoFeatures

DIMS = InputDims(feature_dim=8, num_places=4, text_dim=8)
# Sizes that tests need no more of; a component that lacks one keeps its own.
SMALL = {"num_layers": 2, "hidden_dim": 32, "text_hidden_dim": 16, "feedforward_dim": 32, "embedding_dim": 16}
REQUIRED = {"sampling": ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)}
# Published configurations of one network differ in more than width: their kinds of maps, on few cells.
VARIANTS: dict[str, dict[str, Any]] = {
    "tan2d_charades_conv": {"proposals": "conv", "num_cells": 32, "clips_per_cell": 2, "scale_layers": (16,)},
    "tan2d_tacos_pool": {"num_cells": 32, "scale_layers": (8, 4, 4)},
    "tan2d_tacos_conv": {"proposals": "conv", "num_cells": 32, "scale_layers": (8, 4, 4)},
}
DOWNLOADED = {"glove", "sentence_transformer", "clip_text"}  # text encoders that are read from files; they have their own tests


def list_members(registry: Any) -> list[Any]:
    """Return the schemas of a registry: a union, or the one member of a slot that has no second one yet."""
    union = get_args(registry)[0] if hasattr(registry, "__metadata__") else registry
    return list(get_args(union)) or [union]


def list_distinct(registry: Any) -> list[Any]:
    """Return one member for each network and its values: published configurations share their network."""
    found: dict[str, Any] = {}
    for member in list_members(registry):
        params = fill(member)
        found.setdefault(f"{member.build.__qualname__} {params.model_dump(exclude={'name'})}", member)
    return list(found.values())


def name_of(member: Any) -> str:
    return str(get_args(member.model_fields["name"].annotation)[0])


def fill(member: Any) -> Any:
    """Return small values of a component."""
    name = name_of(member)
    values = {key: value for key, value in (SMALL | REQUIRED).items() if key in member.model_fields}
    return member.model_validate({"name": name, **values, **VARIANTS.get(name, {})})


def build(member: Any) -> Any:
    """Return an untrained model of small values, in evaluation mode."""
    torch.manual_seed(3)
    return fill(member).build(DIMS).eval()


def make_video(num_rows: int, num_cells: int) -> VideoFeatures:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(num_rows, num_cells, DIMS.num_places, DIMS.feature_dim, generator=generator)
    return VideoFeatures(features, torch.ones(num_rows, num_cells, dtype=torch.bool), torch.linspace(10.0, 40.0, num_rows))


def make_text(num_rows: int, *, num_words: int = 5) -> TextFeatures:
    tokens = torch.randn(num_rows, num_words, DIMS.text_dim, generator=torch.Generator().manual_seed(2))
    return TextFeatures(tokens, torch.ones(num_rows, num_words, dtype=torch.bool), tokens.sum(1))


def pad(text: TextFeatures, words: int) -> TextFeatures:
    tokens = nn.functional.pad(text.tokens, (0, 0, 0, words))
    return TextFeatures(tokens, nn.functional.pad(text.mask, (0, words)), text.pooled)


def take(video: VideoFeatures, text: TextFeatures, row: int) -> tuple[VideoFeatures, TextFeatures]:
    rows = slice(row, row + 1)
    return VideoFeatures(*(part[rows] for part in video)), TextFeatures(*(part[rows] for part in text))


def list_outputs(found: Candidates) -> list[Tensor]:
    """Return everything that a loss may read of candidates, of earlier layers too."""
    own = [found.spans, found.scores, found.features, found.saliency, found.query, *list_points(found)]
    return [one for one in own if one is not None] + [one for part in found.auxiliary for one in list_outputs(part)]


def list_points(found: Candidates) -> list[Tensor]:
    return [found.points.foreground, found.points.centreness] if found.points else []


def list_idle(module: nn.Module, outputs: list[Tensor]) -> list[str]:
    """Return the names of the weights that no output gives a finite gradient."""
    sum(one.float().square().sum() for one in outputs if one.requires_grad).backward()  # type: ignore[union-attr]
    named = module.named_parameters()
    return [name for name, weight in named if weight.grad is None or not torch.isfinite(weight.grad).all()]

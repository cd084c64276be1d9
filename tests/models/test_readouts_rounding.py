"""Readouts and the rounding of float32: what they answer is the same under torch and under ONNX Runtime."""

import itertools
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from streams import as_video, video_dims
from torch import Tensor

from corpus.schema_files import load_yaml
from evaluation.parity import require_parity
from models.artefacts.exporting.networks import build_localizer_network
from models.contracts.batches import Candidates, TextFeatures
from models.localizers.readouts.readout_max_subarray import MaxSubarrayParams
from models.localizers.readouts.readout_peak_width import PeakWidthParams
from models.localizers.readouts.readout_shots import ShotsParams
from models.localizers.readouts.readout_threshold_merge import ThresholdMergeParams
from models.localizers.readouts.readout_watershed import WatershedParams
from models.localizers.readouts.readout_window_contrast import WindowContrastParams
from models.localizers.readouts.similarity import Readout
from pipeline.components.presets import preset_path

NUM_CELLS, NUM_CLIPS, DIM, NUM_ROWS = 32, 9, 16, 7
DIMS = video_dims(dim=DIM, num_places=1, text_dim=DIM)
READOUTS = (PeakWidthParams, ShotsParams, MaxSubarrayParams, ThresholdMergeParams, WatershedParams, WindowContrastParams)
SPREADS = (0.0, 0.003, 0.1)  # of clips around one direction, as untrained towers give them; 0: a picture that stands still
PER_READOUT = 10  # combinations of the values that a preset tries


def find_name(component: Any) -> str:
    (name,) = get_args(component.model_fields["name"].annotation)
    return str(name)


def make_mask() -> Tensor:
    return torch.arange(NUM_CELLS)[None] < torch.tensor([NUM_CELLS - 5 * row for row in range(NUM_ROWS)])[:, None]


def draw_places(spread: float) -> Tensor:
    """Return cells of which several come from one clip, (B, N, 1, D), in 16 bits as the feature store keeps them."""
    generator = torch.Generator().manual_seed(3)
    clips = torch.randn(1, 1, 1, DIM, generator=generator) + spread * torch.randn(
        NUM_ROWS, NUM_CLIPS, 1, DIM, generator=generator
    )
    return clips[:, torch.arange(NUM_CELLS) * NUM_CLIPS // NUM_CELLS].half().float()


def draw_text() -> TextFeatures:
    pooled = torch.randn(NUM_ROWS, DIM, generator=torch.Generator().manual_seed(4))
    return TextFeatures(pooled[:, None], torch.ones(NUM_ROWS, 1, dtype=torch.bool), pooled)


def answer(model: Readout, places: Tensor, noise: Tensor) -> Candidates:
    """Return the answers where the similarities and the features have errors of rounding, (B, N)."""
    video = as_video(places * (1 + noise[..., None, None]), make_mask(), torch.full((NUM_ROWS,), 20.0))
    return model._answer(model._compare(video, draw_text()) * (1 + noise), video)


def list_choices(name: str) -> list[dict[str, Any]]:
    """Return some of the combinations of values that the preset tries, and the values of the preset."""
    values = load_yaml(preset_path("localizer", name)) | {"num_cells": NUM_CELLS}
    tuning = values.pop("tuning")
    combinations = list(itertools.product(*tuning.values()))
    chosen = combinations[:: max(1, len(combinations) // PER_READOUT)]
    return [values, *(values | dict(zip(tuning, one, strict=True)) for one in chosen)]


@pytest.mark.parametrize("component", READOUTS, ids=lambda one: one.__name__)
def test_no_answer_depends_on_the_rounding_of_similarities(component: Any) -> None:
    name = find_name(component)
    noise = 1.2e-7 * (2 * torch.rand(NUM_ROWS, NUM_CELLS, generator=torch.Generator().manual_seed(5)) - 1)
    for values, spread in itertools.product(list_choices(name), SPREADS):
        model, places = component.model_validate(values).build(DIMS), draw_places(spread)
        plain, noisy = answer(model, places, torch.zeros_like(noise)), answer(model, places, noise)
        assert torch.equal(plain.valid, noisy.valid), (values, spread)
        torch.testing.assert_close(plain.spans[plain.valid], noisy.spans[noisy.valid], atol=1e-3, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("component", READOUTS, ids=lambda one: one.__name__)
def test_the_exported_readout_answers_alike_where_clips_hardly_differ(component: Any, tmp_path: Path) -> None:
    name = find_name(component)
    model = component.model_validate(list_choices(name)[0]).build(DIMS).eval()
    text = draw_text()
    encoded = {"tokens": text.tokens, "token_mask": text.mask, "pooled": text.pooled}
    cases = [
        {"features_video": draw_places(spread), "mask": make_mask(), "duration_s": torch.full((NUM_ROWS,), 20.0), **encoded}
        for spread in SPREADS
    ]
    network, path = build_localizer_network(model), tmp_path / "localizer.onnx"
    path.write_bytes(network.export(cases[-1]))
    assert require_parity(network, path, cases, max_difference=1e-3) <= 1e-3

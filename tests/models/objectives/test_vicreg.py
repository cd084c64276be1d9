"""The formula of `vicreg`."""

import numpy as np
import pytest
import torch

from corpus.media import ClipSampling
from models.encoders.video.place_cnn import PlaceCNNParams
from models.objectives.base import ClipBatch, ObjectiveTraining
from models.objectives.vicreg import VICRegObjective, VICRegParams, compute_vicreg
from models.optimizers.adamw import AdamWParams

PARAMS = VICRegParams(
    name="vicreg", training=ObjectiveTraining(max_epochs=1, optimizer=AdamWParams(learning_rate=0.01)), projector_dim=8
)


def compute_total(first: torch.Tensor, second: torch.Tensor) -> float:
    parts = compute_vicreg(first, second)
    return (25 * parts.invariance + 25 * parts.variance + parts.covariance).item()


def compute_slowly(first: np.ndarray, second: np.ndarray) -> float:
    """Compute the equations of the paper with NumPy loops."""
    count, width = first.shape
    invariance = sum((first[i, j] - second[i, j]) ** 2 for i in range(count) for j in range(width)) / (count * width)
    variance = covariance = 0.0
    for view in (first, second):
        deviations = [np.sqrt(view[:, j].var(ddof=1) + 1e-4) for j in range(width)]
        variance += sum(max(0.0, 1 - deviation) for deviation in deviations) / width / 2
        matrix = np.cov(view.T)
        covariance += sum(matrix[i, j] ** 2 for i in range(width) for j in range(width) if i != j) / width
    return float(25 * invariance + 25 * variance + covariance)


def build_objective() -> VICRegObjective:
    torch.manual_seed(0)
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)
    video = PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=4, norm_groups=2).build()
    return PARAMS.build(video, None, [])


def build_clip_batch(num_clips: int) -> ClipBatch:
    frames = np.random.default_rng(0).integers(0, 256, size=(num_clips, 3, 16, 16, 3), dtype=np.uint8)
    spans_s = np.arange(num_clips)[:, None] / 2.0 + np.array([0.0, 0.5])
    return ClipBatch(frames, ("a",), np.zeros(num_clips, dtype=np.int64), spans_s, (), np.zeros((0, num_clips), dtype=bool))


def test_constant_embeddings_cost_24_75() -> None:
    constant = torch.full((6, 4), 0.3, dtype=torch.float64)
    assert compute_total(constant, constant) == pytest.approx(24.75)


def test_equal_views_of_unit_variance_without_correlation_cost_nothing() -> None:
    view = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * 3**0.5 / 2 * 1.01
    assert compute_total(view, view) == pytest.approx(0, abs=1e-6)


def test_vicreg_agrees_with_the_paper_written_out() -> None:
    first, second = np.random.default_rng(1).normal(size=(2, 7, 5))
    assert compute_total(torch.from_numpy(first), torch.from_numpy(second)) == pytest.approx(compute_slowly(first, second))


def test_vicreg_is_symmetric_and_does_not_depend_on_the_order_of_clips() -> None:
    first, second = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 7, 5)))
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    expected = compute_total(first, second)
    assert compute_total(second, first) == pytest.approx(expected)
    assert compute_total(first[order], second[order]) == pytest.approx(expected)


def test_a_batch_of_one_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 clips in a batch, got 1"):
        build_objective()(build_clip_batch(1), np.random.default_rng(0))


def test_gradients_reach_the_encoder() -> None:
    objective = build_objective()
    objective(build_clip_batch(4), np.random.default_rng(0)).loss.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in objective.video.parameters() if weight.grad is not None)
    assert any(weight.grad is not None for weight in objective.video.parameters())


def test_the_two_views_of_a_clip_differ() -> None:
    step = build_objective()(build_clip_batch(4), np.random.default_rng(0))
    assert step.figures["invariance"] > 0


def test_vicreg_reads_no_sentence() -> None:
    assert not build_objective().reads("the red circle moves")

"""Floors without a model, and the published annotation files' golden figures."""

import csv
from pathlib import Path

import numpy as np
import pytest

from corpus.moments import Moment
from models.metrics.convention import IoURule
from models.metrics.floors import (
    build_constant_answers,
    build_unit_cells,
    build_whole_video_answers,
    count_best_cells,
    draw_derangement,
    normalise_truth,
    rank_frequent_cells,
    scale_unit_spans,
)
from models.metrics.spans import PaddedSpans, pad_moments
from models.metrics.tan2d import Tan2dConvention

CONVENTION = Tan2dConvention(iou_rule=IoURule.AT_LEAST, max_iou=0.5)


def read_charades(folder: Path, split: str) -> tuple[PaddedSpans, np.ndarray]:
    """The moments of Charades-STA, clipped to the durations; rows without length are dropped."""
    with (folder / f"Charades_v1_{split}.csv").open() as file:
        lengths = {row["id"]: float(row["length"]) for row in csv.DictReader(file)}
    rows = [line.partition("##")[0].split() for line in (folder / f"charades_sta_{split}.txt").read_text().splitlines()]
    clipped = [(video, float(start), min(float(end), lengths[video])) for video, start, end in rows]
    kept = [(video, Moment(start, end)) for video, start, end in clipped if start < end]
    return pad_moments([[moment] for _, moment in kept]), np.array([lengths[video] for video, _ in kept])


@pytest.fixture(scope="module")
def charades(shared_dir: Path) -> dict[str, tuple[PaddedSpans, np.ndarray]]:
    """Training and test moments with their durations."""
    return {split: read_charades(shared_dir / "annotations" / "charades_sta", split) for split in ("train", "test")}


def to_percent(figures: dict[str, np.ndarray], *names: str) -> list[float]:
    """The means of the named figures, in percent with two decimals."""
    return [round(100 * float(figures[name].mean()), 2) for name in names]


def test_chance_on_charades_has_its_published_figures(charades: dict[str, tuple[PaddedSpans, np.ndarray]]) -> None:
    truth, durations_s = charades["test"]
    figures = CONVENTION.compute_chance(scale_unit_spans(build_unit_cells(16), durations_s), truth)
    assert to_percent(figures, "R1_iou0.3", "R1_iou0.5", "R1_iou0.7", "mIoU") == [29.51, 11.97, 3.56, 19.51]


def test_the_whole_video_on_charades_has_its_published_figures(charades: dict[str, tuple[PaddedSpans, np.ndarray]]) -> None:
    truth, durations_s = charades["test"]
    figures = CONVENTION.compute_figures(build_whole_video_answers(durations_s), truth)
    assert to_percent(figures, "R1_iou0.3", "R1_iou0.5", "R1_iou0.7", "mIoU") == [35.00, 0.43, 0.00, 27.13]


def test_the_frequency_prior_on_charades_has_its_published_figures(charades: dict[str, tuple[PaddedSpans, np.ndarray]]) -> None:
    prior = rank_frequent_cells(normalise_truth(*charades["train"]), build_unit_cells(16), max_iou=0.5, max_kept=5)
    truth, durations_s = charades["test"]
    figures = CONVENTION.compute_figures(build_constant_answers(prior, durations_s), truth)
    names = ("R1_iou0.3", "R1_iou0.5", "R1_iou0.7", "mIoU", "R5_iou0.5", "R5_iou0.7")
    assert to_percent(figures, *names) == [31.88, 19.89, 9.09, 20.66, 58.47, 41.72]


def test_the_prior_of_one_constant_moment_is_always_right() -> None:
    truth = pad_moments([[Moment(2.5, 5.0)]] * 4)
    prior = rank_frequent_cells(normalise_truth(truth, np.full(4, 10.0)), build_unit_cells(16), max_iou=0.5, max_kept=5)
    np.testing.assert_allclose(prior[0], [0.25, 0.5])
    figures = CONVENTION.compute_figures(build_constant_answers(prior, np.full(4, 10.0)), truth)
    assert figures["R1_iou0.7"].tolist() == [1.0] * 4


def test_best_cells_are_counted_for_every_true_moment() -> None:
    truth = pad_moments([[Moment(0, 5), Moment(5, 10)], [Moment(0, 5)]])
    counts = count_best_cells(normalise_truth(truth, np.array([10.0, 10.0])), build_unit_cells(2))
    assert counts.tolist() == [2, 0, 1]  # cells (0, 0), (0, 1), (1, 1)


@pytest.mark.parametrize("num_videos", [2, 3, 10])
def test_a_derangement_moves_every_video_and_uses_each_once(num_videos: int) -> None:
    others = draw_derangement(num_videos, seed=5)
    assert sorted(others.tolist()) == list(range(num_videos))
    assert (others != np.arange(num_videos)).all()
    np.testing.assert_array_equal(others, draw_derangement(num_videos, seed=5))


def test_one_video_cannot_be_shuffled() -> None:
    with pytest.raises(ValueError, match="needs at least two of them, got 1"):
        draw_derangement(1, seed=0)

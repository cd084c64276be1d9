"""Floors without a model."""

import numpy as np
import pytest

from corpus.moments import Moment
from models.metrics.convention import IoURule
from models.metrics.floors import (
    build_constant_answers,
    build_unit_cells,
    count_best_cells,
    draw_derangement,
    normalise_truth,
    rank_frequent_cells,
)
from models.metrics.spans import pad_moments
from models.metrics.tan2d import Tan2dConvention

CONVENTION = Tan2dConvention(iou_rule=IoURule.AT_LEAST, max_iou=0.5)


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
    with pytest.raises(ValueError, match="needs at least two videos, got 1"):
        draw_derangement(1, seed=0)

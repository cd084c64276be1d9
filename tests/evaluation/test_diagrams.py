"""The diagrams of a report."""

import numpy as np

from evaluation.report.diagrams import ScoreMap, draw_lengths, draw_score_map, fill_map


def test_a_score_map_holds_the_share_of_candidates_below_each_span() -> None:
    spans = np.array([[0.0, 5.0], [0.0, 10.0], [5.0, 10.0]])
    filled = fill_map(spans, np.array([-3.0, 7.0, 1.0]), duration_s=10.0)
    np.testing.assert_array_equal(filled, [[0.0, np.nan], [1.0, 0.5]])  # (end, start)


def test_the_best_of_many_candidates_in_a_cell_counts() -> None:
    spans = np.array([[0.0, 9.0], [0.0, 10.0]])
    np.testing.assert_array_equal(fill_map(spans, np.array([1.0, 2.0]), duration_s=10.0), [[1.0]])


def test_a_map_without_true_or_found_moments_is_drawn() -> None:
    nothing = np.empty((0, 2))
    assert draw_score_map(ScoreMap(np.array([[0.0, 1.0]]), np.array([0.5]), nothing, nothing, 4.0)).startswith("<?xml")


def test_lengths_are_drawn_if_nothing_was_found() -> None:
    assert "<svg" in draw_lengths(np.empty(0), np.array([2.0, 3.0]))

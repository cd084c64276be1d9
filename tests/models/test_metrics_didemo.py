"""The convention of DiDeMo: ranks among 21 segments by agreement of annotators."""

import itertools

import numpy as np
import pytest

from models.metrics.didemo import DiDeMoConvention, decode_segments, encode_segments
from models.metrics.spans import PaddedSpans, RankedSpans

CONVENTION = DiDeMoConvention()
SEGMENTS = [(first, last) for first, last in itertools.product(range(6), repeat=2) if first <= last]


def to_spans(segments: list[tuple[int, int]]) -> np.ndarray:
    return np.array([(5.0 * first, 5.0 * last + 5.0) for first, last in segments])


def rank_all(order: list[tuple[int, int]]) -> RankedSpans:
    spans = to_spans(order)[None]
    return RankedSpans(spans, -np.arange(len(order), dtype=float)[None], np.ones((1, len(order)), bool))


def people(*segments: tuple[int, int]) -> PaddedSpans:
    return PaddedSpans(to_spans(list(segments))[None], np.ones((1, len(segments)), bool))


def score_slowly(order: list[tuple[int, int]], marked: list[tuple[int, int]]) -> tuple[float, float]:
    """Return the mean of the three best ranks, and of the three largest overlaps of the first segment, in chunks."""
    ranks = sorted(order.index(segment) + 1 for segment in marked)[:3]
    first = order[0]
    overlaps = []
    for segment in marked:
        shared = max(0, min(first[1], segment[1]) + 1 - max(first[0], segment[0]))
        overlaps.append(shared / (max(first[1], segment[1]) + 1 - min(first[0], segment[0])))
    best = sorted(overlaps)[-3:]
    return sum(ranks) / len(ranks), sum(best) / len(best)


def test_annotators_who_disagree_with_three_others_do_not_count() -> None:
    order = [(0, 0), *(segment for segment in SEGMENTS if segment != (0, 0))]
    figures = CONVENTION.compute_figures(rank_all(order), people((0, 0), (0, 0), (0, 0), (5, 5)))
    assert {name: values.item() for name, values in figures.items()} == {"Rank@1": 1, "Rank@5": 1, "mIoU": 1}
    figures = CONVENTION.compute_figures(rank_all(order), people((0, 0), (0, 0), (5, 5), (5, 5)))
    assert figures["Rank@1"].item() == 0
    assert figures["mIoU"].item() == pytest.approx(2 / 3)


def test_random_rankings_agree_with_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        order = [SEGMENTS[place] for place in rng.permutation(21)]
        marked = [SEGMENTS[place] for place in rng.integers(21, size=int(rng.integers(1, 6)))]
        figures = CONVENTION.compute_figures(rank_all(order), people(*marked))
        rank, overlap = score_slowly(order, marked)
        assert figures["Rank@1"].item() == (rank <= 1)
        assert figures["Rank@5"].item() == (rank <= 5)
        assert figures["mIoU"].item() == pytest.approx(overlap)


def test_a_moment_that_is_not_an_answer_has_no_rank() -> None:
    figures = CONVENTION.compute_figures(rank_all([(0, 0)]), people((1, 1), (1, 1), (0, 0)))
    assert figures["Rank@5"].item() == 0


def test_candidates_move_to_the_nearest_segment_which_keeps_the_best_of_them() -> None:
    spans = np.array([[[0.5, 4.0], [0.0, 5.2], [4.6, 10.4], [1.0, 1.2]]])
    ranked = CONVENTION.rank(RankedSpans(spans, np.array([[0.1, 0.8, 0.5, 0.9]]), np.array([[True, True, True, False]])))
    assert ranked.spans[ranked.valid].tolist() == [[0.0, 5.0], [5.0, 10.0]]
    assert ranked.scores[ranked.valid].tolist() == [0.8, 0.5]


def test_segments_have_a_number_each() -> None:
    spans = to_spans(SEGMENTS)
    assert len(set(encode_segments(spans).tolist())) == 21
    np.testing.assert_array_equal(decode_segments(encode_segments(spans)), spans)
    assert decode_segments(encode_segments(np.array([25.0, 27.3]))).tolist() == [
        25.0,
        30.0,
    ]  # a video that ends in its last chunk

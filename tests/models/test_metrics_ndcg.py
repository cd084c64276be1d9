"""NDCG of moments in a collection, against a reference."""

import math

import numpy as np
import pytest

from models.metrics.collection import CollectionAnswers, CollectionTruth
from models.metrics.convention import IoURule
from models.metrics.ndcg import compute_ndcg


def compute_slowly(answers: list, truth: list, rank: int, threshold: float) -> float:
    """Return the NDCG of answers (video, start, end) against truth (video, start, end, relevance)."""
    left, total = list(truth), 0.0
    for place, (video, start, end) in enumerate(answers[:rank]):
        best, chosen = -1.0, None
        for moment in left:
            if moment[0] == video:
                shared = max(0.0, min(end, moment[2]) - max(start, moment[1]))
                iou = shared / (end - start + moment[2] - moment[1] - shared)
                if iou > best:
                    best, chosen = iou, moment
        if chosen is not None and best > threshold:
            left.remove(chosen)
            total += (2 ** chosen[3] - 1) / math.log2(place + 2)
    ideal = sorted((2 ** moment[3] - 1 for moment in truth), reverse=True)[:rank]
    norm = sum(gain / math.log2(place + 2) for place, gain in enumerate(ideal))
    return total / norm if norm else 0.0


def compute(answers: list, truth: list, *, rank: int, threshold: float = 0.5) -> float:
    found = CollectionAnswers(np.array([[one[0] for one in answers]]), np.array([[one[1:] for one in answers]], dtype=float))
    true = CollectionTruth(np.array([[one[0] for one in truth]]), np.array([[one[1:3] for one in truth]], dtype=float))
    relevance = np.array([[float(one[3]) for one in truth]])
    return compute_ndcg(found, true, relevance, rank=rank, threshold=threshold, rule=IoURule.ABOVE).item()


def test_the_best_order_of_all_moments_gains_everything() -> None:
    truth = [(0, 0, 10, 1), (1, 0, 10, 4), (2, 5, 9, 2)]
    assert compute([(1, 0, 10), (2, 5, 9), (0, 0, 10)], truth, rank=10) == pytest.approx(1)
    assert compute([(0, 0, 10), (2, 5, 9), (1, 0, 10)], truth, rank=10) < 1


def test_a_moment_is_gained_once() -> None:
    assert compute([(0, 0, 10), (0, 0, 10)], [(0, 0, 10, 1)], rank=10) == 1
    assert compute([(1, 0, 10), (0, 0, 10)], [(0, 0, 10, 1)], rank=10) == pytest.approx(1 / math.log2(3))


def test_random_answers_agree_with_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        answers = [(int(v), float(s), float(s + w)) for v, s, w in rng.integers(1, 8, (12, 3)) % [3, 8, 8] + [0, 0, 1]]
        truth = [
            (int(v), float(s), float(s + w), int(r)) for v, s, w, r in rng.integers(1, 8, (4, 4)) % [3, 8, 8, 5] + [0, 0, 1, 0]
        ]
        for rank in (1, 5, 20):
            slow = compute_slowly(answers, truth, rank, 0.3)
            assert compute(answers, truth, rank=rank, threshold=0.3) == pytest.approx(slow)


def test_queries_without_a_relevant_moment_gain_nothing() -> None:
    assert compute([(0, 0, 10)], [(0, 0, 10, 0)], rank=10) == 0
    assert compute([(0, 0, 10)], [(-1, 0, 0, 1)], rank=10) == 0

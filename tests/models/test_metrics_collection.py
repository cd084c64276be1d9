"""Collection search metrics: ranks, recall, and exact chance against simulation."""

import numpy as np
import pytest

from models.metrics.collection import (
    CollectionAnswers,
    CollectionTruth,
    compute_collection_chance,
    compute_collection_figures,
    compute_collection_hits,
    compute_first_ranks,
    compute_right_video,
)
from models.metrics.convention import IoURule

ANSWERS = CollectionAnswers(
    videos=np.array([[1, 0, 2], [0, 0, -1]]),
    spans=np.array([[[0.0, 4.0], [0.0, 4.0], [5.0, 9.0]], [[0.0, 1.0], [6.0, 8.0], [0.0, 0.0]]]),
)
TRUTH = CollectionTruth(
    videos=np.array([[0, 2], [1, -1]]),
    spans=np.array([[[0.0, 4.0], [5.0, 9.0]], [[6.0, 8.0], [0.0, 0.0]]]),
)


def find_hits(answers: CollectionAnswers, truth: CollectionTruth) -> np.ndarray:
    return compute_collection_hits(answers, truth, threshold=0.5, rule=IoURule.ABOVE)


def test_the_right_span_of_another_video_is_not_a_hit() -> None:
    assert find_hits(ANSWERS, TRUTH).tolist() == [[False, True, True], [False, False, False]]


def test_a_moment_of_another_video_where_the_sentence_is_true_counts() -> None:
    without = CollectionTruth(TRUTH.videos[:, 1:], TRUTH.spans[:, 1:])
    assert find_hits(ANSWERS, without).tolist() == [[False, False, True], [False, False, False]]
    assert compute_first_ranks(find_hits(ANSWERS, without)).tolist() == [3.0, np.inf]


def test_ranks_become_recall() -> None:
    figures = compute_collection_figures(np.array([1.0, 10.0, 11.0, np.inf]))
    assert figures["R1"].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert figures["R10"].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert figures["R100"].tolist() == [1.0, 1.0, 1.0, 0.0]


def test_padding_is_neither_an_answer_nor_a_moment() -> None:
    padded = CollectionAnswers(np.full((1, 2), -1), np.zeros((1, 2, 2)))
    truth = CollectionTruth(np.array([[-1]]), np.array([[[0.0, 1.0]]]))
    assert not find_hits(padded, truth).any()
    assert compute_right_video(padded, truth).tolist() == [0.0]


def test_the_right_video_counts_with_any_span() -> None:
    assert compute_right_video(ANSWERS, TRUTH).tolist() == [1.0, 0.0]


def test_hits_agree_with_a_loop() -> None:
    rng = np.random.default_rng(0)
    videos, truth_videos = rng.integers(4, size=(5, 8)), rng.integers(-1, 4, size=(5, 3))
    spans, truth_spans = (np.sort(rng.random((5, width, 2)), axis=-1) for width in (8, 3))
    hits = find_hits(CollectionAnswers(videos, spans), CollectionTruth(truth_videos, truth_spans))
    for row in range(5):
        for place in range(8):
            (start, end), right = spans[row, place], False
            for video, (low, high) in zip(truth_videos[row], truth_spans[row], strict=True):
                overlap = max(0.0, min(end, high) - max(start, low))
                right |= video == videos[row, place] and overlap / (max(end, high) - min(start, low)) > 0.5
            assert hits[row, place] == right


def test_chance_of_one_answer_is_the_share_of_right_candidates() -> None:
    chance = compute_collection_chance(np.array([[3, 0, 0, 1]]), num_candidates=10, num_kept=5)
    assert chance["R1"][0] == pytest.approx(4 / 40)


def test_chance_is_certain_when_everything_is_looked_at() -> None:
    chance = compute_collection_chance(np.array([[1, 0], [0, 0]]), num_candidates=5, num_kept=5)
    np.testing.assert_allclose(chance["R10"], [1.0, 0.0], atol=1e-12)


def test_chance_agrees_with_simulated_random_searches() -> None:
    rng = np.random.default_rng(0)
    hits, num_candidates, num_kept, found = [4, 0, 2, 1, 0, 0], 12, 5, []
    for _ in range(4000):
        drawn = [rng.permutation(num_candidates)[:num_kept] < count for count in hits]
        found.append(rng.permutation(np.concatenate(drawn))[:10].any())
    chance = compute_collection_chance(np.array([hits]), num_candidates=num_candidates, num_kept=num_kept)
    assert chance["R10"][0] == pytest.approx(np.mean(found), abs=0.025)

"""HIT@1 and the average precision of clips, against a reference and against scikit-learn's curve."""

import numpy as np
import pytest

from models.metrics.highlights import Ratings, Saliency, compute_clip_precision, compute_highlight_figures


def compute_slowly(scores: list[float], labels: list[bool]) -> float:
    """Return the mean, over scores with new positives, of the best precision at that or a lower score."""
    steps = []
    for score in sorted(set(scores), reverse=True):
        chosen = [label for one, label in zip(scores, labels, strict=True) if one >= score]
        steps.append((sum(chosen), sum(chosen) / len(chosen)))
    kept = [
        max(precision for _, precision in steps[place:])
        for place, (found, _) in enumerate(steps)
        if found > (steps[place - 1][0] if place else 0)
    ]
    return sum(kept) / len(kept) if kept else 0.0


def test_random_clips_agree_with_the_definition() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(-4, 5, (200, 12)) / 4
    labels = rng.random((200, 12, 3)) < rng.random((200, 1, 1))
    num_clips = rng.integers(1, 13, 200)
    inside = np.arange(12) < num_clips[:, None]
    found = compute_clip_precision(scores, inside, labels & inside[..., None])
    for row, count in enumerate(num_clips):
        slow = [compute_slowly(scores[row, :count].tolist(), labels[row, :count, person].tolist()) for person in range(3)]
        np.testing.assert_allclose(found[row], slow, atol=1e-12)


def test_random_clips_agree_with_the_curve_of_scikit_learn() -> None:
    curves = pytest.importorskip("sklearn.metrics", reason="scikit-learn comes with other packages")
    rng = np.random.default_rng(1)
    for _ in range(100):
        scores, labels = rng.integers(0, 6, 20) / 5 - 0.5, rng.random(20) < 0.3
        if labels.all() or not labels.any():
            continue
        precision, recall, _ = curves.precision_recall_curve(labels, scores)
        steps = np.flatnonzero(np.diff(recall))
        expected = np.maximum.accumulate(precision)[steps].mean()
        found = compute_clip_precision(scores[None], np.ones((1, 20), bool), labels[None, :, None])
        assert found.item() == pytest.approx(expected, abs=1e-12)


def score(predicted: list[float], ratings: list[list[int]]) -> dict[str, float]:
    scores = np.array([predicted])
    truth = Ratings(np.array([ratings], dtype=float), np.array([len(ratings)]))
    figures = compute_highlight_figures(Saliency(scores, np.ones(scores.shape, bool)), truth)
    return {name: values.item() for name, values in figures.items()}


def test_a_clip_is_a_hit_when_one_person_rated_it_enough() -> None:
    found = score([0.1, 0.9], [[0, 0, 0], [1, 4, 2]])
    assert [found[f"highlight_{name}_hit1"] for name in ("fair", "good", "very_good")] == [1, 1, 1]
    found = score([0.1, 0.9], [[4, 4, 4], [1, 3, 2]])
    assert [found[f"highlight_{name}_hit1"] for name in ("fair", "good", "very_good")] == [1, 1, 0]


def test_the_precision_is_the_mean_over_people() -> None:
    found = score([0.9, 0.5, 0.1], [[4, 0, 0], [0, 4, 0], [0, 0, 0]])
    assert found["highlight_fair_mAP"] == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_missing_clips_score_zero_and_clips_after_the_video_are_not_hits() -> None:
    short = score([-1.0], [[4, 4, 4], [0, 0, 0], [0, 0, 0]])
    assert short["highlight_fair_mAP"] == pytest.approx(1 / 3)  # two unscored clips rank above the clip with a negative score
    assert short["highlight_fair_hit1"] == 1  # the best predicted clip
    long = score([0.5, 0.1, 0.9], [[4, 4, 4], [0, 0, 0]])
    assert long["highlight_fair_mAP"] == 1
    assert long["highlight_fair_hit1"] == 0


def test_clips_of_equal_score_are_one_step() -> None:
    found = score([0.5, 0.5, 0.5], [[4, 4, 4], [4, 4, 4], [0, 0, 0]])
    assert found["highlight_fair_mAP"] == pytest.approx(2 / 3)


def test_all_or_no_highlights_give_one_or_zero() -> None:
    assert score([0.5, 0.1], [[2, 2, 2], [2, 2, 2]])["highlight_fair_mAP"] == 1
    assert score([0.5, 0.1], [[1, 1, 1], [1, 1, 1]])["highlight_fair_mAP"] == 0

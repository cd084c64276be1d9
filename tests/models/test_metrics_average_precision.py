"""Average precision of ranked spans, against a reference for one query and threshold."""

import numpy as np
import pytest

from corpus.moments import Moment
from models.metrics.average_precision import compute_average_precision
from models.metrics.convention import IoURule
from models.metrics.spans import RankedSpans, pad_moments

THRESHOLDS = (0.5, 0.75, 0.95)


def compute_slowly(windows: list[list[float]], truth: list[list[float]], threshold: float) -> float:
    """Return the average precision by its definition: window by window, in plain Python."""
    taken: set[int] = set()
    precisions, recalls = [], []
    for number, (start, end, _) in enumerate(sorted(windows, key=lambda window: -window[2]), start=1):
        best, place = 0.0, None
        for index, (true_start, true_end) in enumerate(truth):
            shared = max(0.0, min(end, true_end) - max(start, true_start))
            iou = shared / (end - start + true_end - true_start - shared)
            if index not in taken and iou >= threshold and iou >= best:
                best, place = iou, index
        if place is not None:
            taken.add(place)
        precisions.append(len(taken) / number)
        recalls.append(len(taken) / len(truth))
    total, before = 0.0, 0.0
    for place, recall in enumerate(recalls):
        total += (recall - before) * max(precisions[place:])
        before = recall
    return total


def draw_windows(rng: np.random.Generator, count: int) -> list[list[float]]:
    """Draw windows on whole seconds with few distinct scores, so that ties and equal windows occur."""
    starts, lengths = rng.integers(0, 20, count), rng.integers(1, 12, count)
    scores = rng.integers(0, 5, count) / 4
    return [[float(start), float(start + length), score] for start, length, score in zip(starts, lengths, scores, strict=True)]


def to_answers(rows: list[list[list[float]]]) -> RankedSpans:
    width = max(map(len, rows))
    spans, scores, valid = np.zeros((len(rows), width, 2)), np.zeros((len(rows), width)), np.zeros((len(rows), width), bool)
    for row, windows in enumerate(rows):
        for place, (start, end, score) in enumerate(windows):
            spans[row, place], scores[row, place], valid[row, place] = (start, end), score, True
    return RankedSpans(spans, scores, valid)


def test_the_second_of_two_moments_is_found_by_the_second_best_window() -> None:
    answers = to_answers([[[0, 10, 0.2], [20, 30, 0.9], [0, 10, 0.1]]])
    truth = pad_moments([[Moment(0, 10), Moment(20, 40)]])
    found = compute_average_precision(answers, truth, thresholds=(0.5, 0.6), rule=IoURule.AT_LEAST)
    np.testing.assert_allclose(found, [[1.0, 0.25]])  # at 0.6 only the second of three windows is right, for two moments


def test_random_windows_agree_with_the_definition() -> None:
    rng = np.random.default_rng(0)
    rows = [draw_windows(rng, int(rng.integers(1, 11))) for _ in range(300)]
    truths = [[window[:2] for window in draw_windows(rng, int(rng.integers(1, 5)))] for _ in rows]
    truth = pad_moments([[Moment(*window) for window in windows] for windows in truths])
    found = compute_average_precision(to_answers(rows), truth, thresholds=THRESHOLDS, rule=IoURule.AT_LEAST)
    slow = [
        [compute_slowly(windows, true, threshold) for threshold in THRESHOLDS] for windows, true in zip(rows, truths, strict=True)
    ]
    np.testing.assert_allclose(found, slow, atol=1e-12)
    assert (found[:, 0] >= found[:, 1]).mean() > 0.95


def test_equal_windows_find_a_moment_once() -> None:
    answers = to_answers([[[0, 10, 0.9], [0, 10, 0.9], [0, 10, 0.8]]])
    found = compute_average_precision(answers, pad_moments([[Moment(0, 10)]]), thresholds=(0.5,), rule=IoURule.AT_LEAST)
    assert found.tolist() == [[1.0]]


def test_equal_scores_keep_the_order_of_the_list() -> None:
    truth = pad_moments([[Moment(0, 10)]])
    first = to_answers([[[0, 10, 0.5], [50, 60, 0.5]]])
    second = to_answers([[[50, 60, 0.5], [0, 10, 0.5]]])
    values = [compute_average_precision(one, truth, thresholds=(0.5,), rule=IoURule.AT_LEAST).item() for one in (first, second)]
    assert values == [1.0, 0.5]


@pytest.mark.parametrize(("rule", "expected"), [(IoURule.AT_LEAST, 1.0), (IoURule.ABOVE, 0.0)])
def test_the_rule_decides_at_the_threshold(rule: IoURule, expected: float) -> None:
    found = compute_average_precision(to_answers([[[0, 5, 1.0]]]), pad_moments([[Moment(0, 10)]]), thresholds=(0.5,), rule=rule)
    assert found.item() == expected


def test_the_precision_is_nan_without_moments_and_zero_without_answers() -> None:
    answers = to_answers([[[0, 10, 1.0]], []])
    truth = pad_moments([[], [Moment(0, 10)]])
    found = compute_average_precision(answers, truth, thresholds=(0.5,), rule=IoURule.AT_LEAST)
    assert np.isnan(found[0, 0])
    assert found[1, 0] == 0

"""The convention of TVR: recall in the given video, over all videos, and of whole videos."""

import numpy as np
import pytest

from corpus.moments import Moment
from models.metrics.spans import PaddedSpans, RankedSpans, pad_moments
from models.metrics.tvr import TvrConvention, count_needed

CONVENTION = TvrConvention()


def answer(windows: np.ndarray) -> RankedSpans:
    return RankedSpans(
        windows, -np.arange(windows.shape[1], dtype=float)[None].repeat(len(windows), 0), np.ones(windows.shape[:2], bool)
    )


def test_a_hit_is_an_overlap_of_at_least_the_threshold_among_the_first() -> None:
    figures = CONVENTION.compute_figures(answer(np.array([[[20.0, 30.0], [0.0, 7.0]]])), pad_moments([[Moment(0, 10)]]))
    assert figures["R1_iou0.5"].item() == 0
    assert figures["R5_iou0.5"].item() == 1
    assert figures["R5_iou0.7"].item() == 1


def test_random_answers_agree_with_a_loop_in_single_precision() -> None:
    rng = np.random.default_rng(0)
    spans, truth = np.sort(rng.integers(0, 20, (50, 120, 2)), axis=2).astype(float), np.sort(rng.integers(0, 20, (50, 2)), axis=1)
    truth[:, 1] += 1
    videos, own = rng.integers(0, 4, (50, 120)), rng.integers(0, 4, 50)
    ones = np.ones(50, dtype=np.int64)
    padded = PaddedSpans(truth[:, None].astype(float), np.ones((50, 1), bool))
    figures = CONVENTION.compute_recall(spans, videos == own[:, None], padded, ones)
    for row in range(50):
        hits = {0.5: [], 0.7: []}
        for (start, end), video in zip(spans[row, :100].astype(np.float32), videos[row], strict=False):
            shared = max(np.float32(0), min(end, truth[row, 1]) - max(start, truth[row, 0]))
            hull = max(end, truth[row, 1]) - min(start, truth[row, 0])
            for threshold, listed in hits.items():
                listed.append(video == own[row] and np.float32(shared / hull) >= np.float32(threshold))
        for rank in (1, 5, 10, 100):
            for threshold, listed in hits.items():
                assert figures[f"R{rank}_iou{threshold:g}"][row] == any(listed[:rank])


def test_of_four_people_two_must_agree_with_an_answer() -> None:
    truth = pad_moments([[Moment(0, 10), Moment(50, 60), Moment(70, 80), Moment(90, 100)]])
    needed = count_needed(np.array([4]))
    one = CONVENTION.compute_recall(np.array([[[0.0, 10.0]]]), np.ones((1, 1), bool), truth, needed)
    assert one["R1_iou0.5"].item() == 0
    both = pad_moments([[Moment(0, 10), Moment(0, 10), Moment(70, 80), Moment(90, 100)]])
    assert CONVENTION.compute_recall(np.array([[[0.0, 10.0]]]), np.ones((1, 1), bool), both, needed)["R1_iou0.5"].item() == 1
    assert CONVENTION.compute_figures(answer(np.array([[[0.0, 10.0]]])), truth)["R1_iou0.5"].item() == 1
    assert count_needed(np.array([0, 1, 3, 4, 5])).tolist() == [1, 1, 1, 2, 2]


def test_videos_are_found_by_name_alone() -> None:
    figures = CONVENTION.compute_video_figures(np.array([[3, 1, 2], [2, -1, -1]]), np.array([1, 1]))
    assert figures["R1"].tolist() == [0, 0]
    assert figures["R5"].tolist() == [1, 0]


@pytest.mark.parametrize(("max_iou", "found"), [(None, 0.0), (0.5, 1.0)])
def test_suppression_is_a_choice(max_iou: float | None, found: float) -> None:
    near = [[50.0, 60.0 + 0.1 * step] for step in range(6)]
    answers = answer(np.array([[*near, [0.0, 10.0]]]))
    convention = TvrConvention(max_iou=max_iou)
    assert convention.compute_figures(convention.rank(answers), pad_moments([[Moment(0, 10)]]))["R5_iou0.5"].item() == found

"""Long videos in windows: the arithmetic, the merging, and what is held at once."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpus.moments import rank_candidates
from corpus.windows import WindowRule, compute_windows
from models.exchange.batches import Candidates, TextFeatures, VideoFeatures
from models.exchange.inputs import predict_candidates
from models.exchange.roles import Localizer
from models.exchange.windows import LongVideo, iterate_windows, predict_in_windows

RATE_HZ = 2.0


class Loudest(Localizer):
    """Answers every cell with the sum of its numbers, and records how many rows it was shown at once."""

    def __init__(self) -> None:
        super().__init__()
        self.num_cells = 4
        self.most_rows = 0

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        self.most_rows = max(self.most_rows, len(text.mask))
        edges = torch.arange(5) / 4 * video.duration_s[:, None]
        spans = torch.stack([edges[:, :-1], edges[:, 1:]], dim=-1)
        return Candidates(spans, video.features.sum((2, 3)), torch.ones(spans.shape[:2], dtype=torch.bool))


def make_text(num_queries: int) -> TextFeatures:
    tokens = torch.ones(num_queries, 2, 3)
    return TextFeatures(tokens, torch.ones(num_queries, 2, dtype=torch.bool), tokens.sum(1))


def make_video(num_clips: int) -> LongVideo:
    clips = np.random.default_rng(0).normal(size=(num_clips, 1, 2)).astype(np.float16)
    return LongVideo(clips, num_clips / RATE_HZ, RATE_HZ)


def test_windows_by_hand() -> None:
    assert compute_windows(10, 4, overlap=0.5).tolist() == [[0, 4], [2, 6], [4, 8], [6, 10]]
    assert compute_windows(9, 4, overlap=0.0).tolist() == [[0, 4], [4, 8], [5, 9]]
    assert compute_windows(4, 4, overlap=0.5).tolist() == [[0, 4]]
    assert compute_windows(3, 4, overlap=0.5).tolist() == [[0, 3]]


@given(num_clips=st.integers(1, 300), window=st.integers(1, 60), overlap=st.floats(0, 0.95))
def test_every_moment_up_to_the_overlap_lies_in_one_window_whole(num_clips: int, window: int, overlap: float) -> None:
    windows = compute_windows(num_clips, window, overlap=overlap)
    assert windows[0, 0] == 0
    assert windows[-1, 1] == num_clips
    assert (windows[:, 1] - windows[:, 0] == min(window, num_clips)).all()
    length = min(max(int(window * overlap), 1), num_clips)
    for first in range(num_clips - length + 1):
        assert ((windows[:, 0] <= first) & (first + length <= windows[:, 1])).any()


@pytest.mark.parametrize("values", [(0, 4, 0.5), (4, 0, 0.5), (4, 4, 1.0), (4, 4, -0.1)])
def test_windows_that_cannot_be_are_refused(values: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match=r"compute_windows needs .* got "):
        compute_windows(values[0], values[1], overlap=values[2])


def test_a_window_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a window needs a length above 0 s, got window_s=0"):
        WindowRule(window_s=0.0)


def test_candidates_are_ranked_by_score_the_valid_ones_first_and_ties_in_order() -> None:
    scores = np.array([[1.0, 3.0, 3.0, 9.0], [4.0, 3.0, 2.0, 1.0]])
    valid = np.array([[True, True, True, False], [True, True, True, True]])
    assert rank_candidates(scores, valid, max_kept=3).tolist() == [[1, 2, 0], [0, 1, 2]]
    assert rank_candidates(scores, valid, max_kept=9).tolist()[0] == [1, 2, 0, 3]


def test_the_best_candidates_of_all_windows_are_kept() -> None:
    video, rule = make_video(24), WindowRule(window_s=4.0, overlap=0.25)
    kept = predict_in_windows(Loudest(), video, make_text(2), rule=rule, max_candidates=6)
    every = list(iterate_windows(Loudest(), video, make_text(2), rule=rule))
    assert len(every) == 4
    scores = np.concatenate([part.scores for part in every], axis=1)
    np.testing.assert_array_equal(kept.scores, -np.sort(-scores, axis=1)[:, :6])
    spans = np.concatenate([part.spans for part in every], axis=1)
    best = np.argmax(scores, axis=1)
    np.testing.assert_array_equal(kept.spans[:, 0], spans[np.arange(2), best])


def test_a_video_no_longer_than_a_window_is_read_as_ever() -> None:
    video, text = make_video(11), make_text(3)
    whole = predict_candidates(
        Loudest(),
        cells={"a": _average(video.clips)},
        durations_s={"a": video.duration_s},
        video_ids=["a"] * 3,
        text=text,
    )
    (found,) = iterate_windows(Loudest(), video, text, rule=WindowRule(window_s=5.5))
    for left, right in zip(found, whole, strict=True):
        np.testing.assert_array_equal(left, right)


def _average(clips: Any) -> Any:
    from models.exchange.inputs import average_clips

    return average_clips(clips, 4)


def test_candidates_end_with_the_video_also_where_its_last_clip_is_short() -> None:
    video = make_video(23)
    found = list(iterate_windows(Loudest(), LongVideo(video.clips, 11.3, RATE_HZ), make_text(1), rule=WindowRule(4.0)))
    assert found[-1].spans.max() == pytest.approx(11.3)
    assert all(part.spans.max() <= 11.3 + 1e-5 for part in found)


def test_what_is_held_at_once_does_not_grow_with_the_video() -> None:
    clips = np.zeros((2048, 4, 128), dtype=np.float16)  # 2 MiB, 16 kiB a window
    localizer, video = Loudest(), LongVideo(clips, len(clips) / RATE_HZ, RATE_HZ)
    tracemalloc.start()
    predict_in_windows(localizer, video, make_text(5), rule=WindowRule(window_s=8.0, overlap=0.0), batch_size=2)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert localizer.most_rows == 2
    assert peak_bytes < clips.nbytes / 8

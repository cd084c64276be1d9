"""Windows of long videos: arithmetic, merging, and bounded memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from streams import write_store

from corpus.moments import resample_clips
from corpus.store import FeatureStore, Fingerprint
from corpus.windows import Window, WindowId, WindowRule, average_ranges, compute_windows, cut_video, share_cells
from models.contracts.batches import Candidates, TextFeatures, VideoFeatures
from models.contracts.inputs import average_clips, predict_candidates
from models.contracts.roles import Localizer
from models.contracts.windows import WindowedVideos, cut_stored_videos, predict_windows

RATE_HZ = 2.0


class Loudest(Localizer):
    """Localizer that scores every cell by the sum of its numbers, and records the number of rows per call."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = ("video",)
        self.num_cells = 4
        self.most_rows = 0

    def forward(self, video: VideoFeatures, text: TextFeatures) -> Candidates:
        self.most_rows = max(self.most_rows, len(text.mask))
        edges = torch.arange(5) / 4 * video.duration_s[:, None]
        spans = torch.stack([edges[:, :-1], edges[:, 1:]], dim=-1)
        return Candidates(spans, video.streams["video"].sum((2, 3)), torch.ones(spans.shape[:2], dtype=torch.bool))


def make_text(num_queries: int) -> TextFeatures:
    tokens = torch.ones(num_queries, 2, 3)
    return TextFeatures(tokens, torch.ones(num_queries, 2, dtype=torch.bool), tokens.sum(1))


def make_store(folder: Path, num_clips: int, *, width: int = 2) -> FeatureStore:
    clips = np.random.default_rng(0).normal(size=(num_clips, 1, width)).astype(np.float16)
    streams = {"video": {"a": clips, "b": clips[:5]}, "sound": {"a": clips.repeat(3, axis=0), "b": clips[:5].repeat(3, axis=0)}}
    write_store(folder, streams, fingerprint=Fingerprint({}, {}), clip_rates_hz={"video": RATE_HZ, "sound": 3 * RATE_HZ})
    return FeatureStore(folder)


def cut(store: FeatureStore, duration_s: float, rule: WindowRule, streams: tuple[str, ...] = ("video",)) -> WindowedVideos:
    return cut_stored_videos(store, streams, {"a": duration_s, "b": 2.5}, 4, rule)


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


def test_windows_lie_where_their_clips_do_and_the_last_one_ends_with_the_video() -> None:
    windows = cut_video(11, 5.4, WindowRule(2.0), clip_rate_hz=2.0)
    assert windows == (Window(0, 4, 0, 2), Window(2, 6, 1, 3), Window(4, 8, 2, 4), Window(6, 10, 3, 5), Window(7, 11, 3.5, 5.4))


@given(duration_s=st.floats(0.5, 100), rate_hz=st.floats(0.5, 8))
def test_a_video_no_longer_than_a_window_is_one(duration_s: float, rate_hz: float) -> None:
    num_clips = max(1, round(duration_s * rate_hz))
    for stated_hz in (rate_hz, None):
        whole = cut_video(num_clips, duration_s, WindowRule(duration_s), clip_rate_hz=stated_hz)
        assert whole == (Window(0, num_clips, 0.0, duration_s),)


@given(num_clips=st.integers(1, 200), window=st.integers(1, 60), batch=st.integers(1, 70))
def test_cells_of_windows_do_not_depend_on_the_batches_they_come_in(num_clips: int, window: int, batch: int) -> None:
    clips = np.random.default_rng(0).normal(size=(num_clips, 3)).astype(np.float16)
    windows = cut_video(num_clips, float(num_clips), WindowRule(float(window)), clip_rate_hz=1.0)
    batches = (clips[start : start + batch] for start in range(0, num_clips, batch))
    table = share_cells(windows, 8)
    found = np.stack(list(average_ranges(batches, table.ranges)))
    assert len(found) == len(table.ranges) <= min(8 * len(windows), len(found))
    assert len(table.rows) == len(windows)
    for part, rows in zip(windows, table.rows, strict=True):
        np.testing.assert_array_equal(found[rows], resample_clips(clips[part.first : part.end], 8))


def test_windows_that_overlap_share_cells() -> None:
    windows = cut_video(64, 64.0, WindowRule(16.0), clip_rate_hz=1.0)
    table = share_cells(windows, 8)
    assert len(windows) == 7
    np.testing.assert_array_equal(table.ranges, [[first, first + 2] for first in range(0, 64, 2)])
    assert table.rows == tuple(slice(4 * number, 4 * number + 8) for number in range(7))


def test_a_video_of_few_clips_has_no_more_cells_than_clips() -> None:
    table = share_cells(cut_video(3, 3.0, WindowRule(16.0), clip_rate_hz=1.0), 8)
    np.testing.assert_array_equal(table.ranges, [[0, 1], [1, 2], [2, 3]])
    np.testing.assert_array_equal(table.rows[0], [0, 0, 1, 1, 2, 2, 2, 2])


def test_the_candidates_of_a_window_are_those_of_its_clips_at_its_place(tmp_path: Path) -> None:
    store, rule = make_store(tmp_path, 24), WindowRule(window_s=4.0, overlap=0.25)
    videos, text = cut(store, 12.0, rule), make_text(1)
    assert len(videos.windows["a"]) == 4
    for name in videos.list_ids("a"):
        window = videos.get_window(name)
        alone = predict_candidates(
            Loudest(),
            cells={"part": {"video": average_clips(store.stream("video").load("a")[window.first : window.end], 4)}},
            durations_s={"part": window.duration_s},
            video_ids=["part"],
            text=text,
        )
        found = predict_windows(Loudest(), videos, [name], text)
        np.testing.assert_allclose(found.spans, alone.spans + window.start_s, atol=1e-6)
        np.testing.assert_array_equal(found.scores, alone.scores)


def test_a_video_no_longer_than_a_window_is_read_as_ever(tmp_path: Path) -> None:
    store, text = make_store(tmp_path, 11), make_text(3)
    cells = {"a": {"video": average_clips(store.stream("video").load("a"), 4)}}
    whole = predict_candidates(Loudest(), cells=cells, durations_s={"a": 5.5}, video_ids=["a"] * 3, text=text)
    found = predict_windows(Loudest(), cut(store, 5.5, WindowRule(window_s=5.5)), [WindowId("a", 0)] * 3, text)
    for left, right in zip(found, whole, strict=True):
        np.testing.assert_array_equal(left, right)


def test_candidates_end_with_the_video_also_where_its_last_clip_is_short(tmp_path: Path) -> None:
    videos = cut(make_store(tmp_path, 23), 11.3, WindowRule(4.0))
    found = predict_windows(Loudest(), videos, videos.list_ids("a"), make_text(len(videos.windows["a"])))
    assert found.spans.max() == pytest.approx(11.3)


def test_cells_that_are_held_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.contracts.windows.CELLS_KEPT", 2)
    store = make_store(tmp_path, 2048, width=512)  # 2 MiB, 16 KiB per window
    localizer, videos = Loudest(), cut(store, 1024.0, WindowRule(window_s=8.0, overlap=0.0))
    names = videos.list_ids("a")
    predict_windows(localizer, videos, names[:2], make_text(2))
    tracemalloc.start()
    predict_windows(localizer, videos, names, make_text(len(names)), batch_size=2)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert localizer.most_rows == 2
    assert peak_bytes < 2**21 / 8


def test_videos_may_lend_each_other_their_cells(tmp_path: Path) -> None:
    videos = cut(make_store(tmp_path, 24), 12.0, WindowRule(window_s=4.0))
    lent = videos.lend({"a": "b", "b": "a"}, {"a": 12.0, "b": 3.0})
    assert [window[2:] for window in lent.windows["a"]] == [(0.0, 12.0)]
    assert lent.windows["b"][-1].end_s == 3.0
    assert len(lent.windows["b"]) == len(videos.windows["a"])
    assert list(lent.cells) == [*lent.list_ids("a"), *lent.list_ids("b")]
    np.testing.assert_array_equal(lent.cells[WindowId("b", 2)]["video"], videos.cells[WindowId("a", 2)]["video"])


@pytest.mark.parametrize("streams", [("video", "sound"), ("sound", "video")])
def test_all_streams_of_a_window_are_of_the_same_time(tmp_path: Path, streams: tuple[str, ...]) -> None:
    videos = cut(make_store(tmp_path, 24), 12.0, WindowRule(window_s=4.0), streams)
    assert [window[2:] for window in videos.windows["a"]] == [(2.0 * number, 2.0 * number + 4.0) for number in range(5)]
    for name in videos.list_ids("a"):
        cells = videos.cells[name]
        np.testing.assert_allclose(cells["sound"], cells["video"], atol=1e-3)

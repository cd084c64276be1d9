"""Windowed localization of long videos: a localizer reads window by window, and the video gets all candidates.

Windows count clips of the first stream of a localizer; the other streams are read over the same time.
Letters: B pairs of a sentence and a window, S clips, P places, D width, N cells, M candidates of a window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from corpus.alignment import match_window
from corpus.store import FeatureStore, Half, StreamStore
from corpus.windows import Window, WindowId, WindowRule, cut_video
from models.contracts.batches import TextFeatures
from models.contracts.inputs import Cells, Predictions, average_clips, predict_candidates
from models.contracts.roles import Localizer

CELLS_KEPT = 4096  # windows with cells in memory


@dataclass(frozen=True)
class WindowedVideos:
    """Videos in the form that a localizer reads: windows in order, and the cells of each window."""

    windows: Mapping[str, tuple[Window, ...]]
    cells: Mapping[WindowId, Cells]

    def list_ids(self, video_id: str) -> list[WindowId]:
        """Return the windows of a video, in order."""
        return [WindowId(video_id, number) for number in range(len(self.windows[video_id]))]

    def get_window(self, window: WindowId) -> Window:
        """Return the position of a window in its video."""
        return self.windows[window.video_id][window.number]

    def lend(self, sources: Mapping[str, str], durations_s: Mapping[str, float]) -> "WindowedVideos":
        """Return videos with their own lengths but the windows and cells of another video, `sources[video_id]`."""
        windows = {
            video_id: _stretch(self.windows[source], length_s=durations_s[video_id]) for video_id, source in sources.items()
        }
        return WindowedVideos(windows, _LentCells(self.cells, sources, windows))


def cut_stored_videos(
    store: FeatureStore, streams: Sequence[str], durations_s: Mapping[str, float], num_cells: int, rule: WindowRule
) -> WindowedVideos:
    """Cut stored videos, given by their lengths in seconds, into windows; cells are averaged on access."""
    first = store.stream(streams[0])
    windows = {
        video_id: cut_video(first.count_clips(video_id), duration_s, rule, clip_rate_hz=first.clip_rate_hz)
        for video_id, duration_s in durations_s.items()
    }
    parts = {name: _StreamCells(store.stream(name), windows, num_cells) for name in streams}
    return WindowedVideos(windows, _StoredCells(parts, windows))


def keep_whole(cells: Mapping[str, Cells], durations_s: Mapping[str, float], num_cells: int) -> WindowedVideos:
    """Return videos of a single window with N = `num_cells` clips, given by cells and lengths in seconds."""
    windows = {video_id: (Window(0, num_cells, 0.0, duration_s),) for video_id, duration_s in durations_s.items()}
    return WindowedVideos(windows, {WindowId(video_id, 0): cells[video_id] for video_id in durations_s})


def predict_windows(
    localizer: Localizer, videos: WindowedVideos, windows: Sequence[WindowId], text: TextFeatures, *, batch_size: int = 64
) -> Predictions:
    """Localize query i of `text` in window `windows[i]`; return candidates (B, M) in seconds of its video."""
    chosen = {window: videos.get_window(window) for window in windows}
    found = predict_candidates(
        localizer,
        cells=videos.cells,
        durations_s={name: window.duration_s for name, window in chosen.items()},
        video_ids=windows,
        text=text,
        batch_size=batch_size,
    )
    for row, window in enumerate(windows):
        found.spans[row] += chosen[window].start_s
    return found


def _iterate_ids(windows: Mapping[str, tuple[Window, ...]]) -> Iterator[WindowId]:
    return (WindowId(video_id, number) for video_id, parts in windows.items() for number in range(len(parts)))


def _stretch(windows: tuple[Window, ...], *, length_s: float) -> tuple[Window, ...]:
    scale = length_s / windows[-1].end_s
    *first, last = [window._replace(start_s=scale * window.start_s, end_s=scale * window.end_s) for window in windows]
    return (*first, last._replace(end_s=length_s))


class _LentCells(Mapping[WindowId, Cells]):
    """The cells of other videos."""

    def __init__(
        self, cells: Mapping[WindowId, Cells], sources: Mapping[str, str], windows: Mapping[str, tuple[Window, ...]]
    ) -> None:
        self._cells = cells
        self._sources = sources
        self._windows = windows

    def __getitem__(self, window: WindowId) -> Cells:
        return self._cells[window._replace(video_id=self._sources[window.video_id])]

    def __iter__(self) -> Iterator[WindowId]:
        return _iterate_ids(self._windows)

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))


class _StoredCells(Mapping[WindowId, Cells]):
    """The cells of windows by stream."""

    def __init__(self, parts: Mapping[str, "_StreamCells"], windows: Mapping[str, tuple[Window, ...]]) -> None:
        self._parts = parts
        self._windows = windows

    def __getitem__(self, window: WindowId) -> Cells:
        return {name: part.average(window) for name, part in self._parts.items()}

    def __iter__(self) -> Iterator[WindowId]:
        return _iterate_ids(self._windows)

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))


class _StreamCells:
    """The cells of windows, averaged from one stream, with a cache of the most recent ones."""

    def __init__(self, store: StreamStore, windows: Mapping[str, tuple[Window, ...]], num_cells: int) -> None:
        self._store = store
        self._windows = windows
        self._num_cells = num_cells
        self._load = lru_cache(maxsize=1)(store.load)  # callers read the windows of a video one after another
        self.average = lru_cache(maxsize=CELLS_KEPT)(self._average_window)

    def _average_window(self, window: WindowId) -> Half:
        windows, video_id = self._windows[window.video_id], window.video_id
        clips = self._load(video_id)
        part = match_window(
            windows[window.number],
            num_clips=len(clips),
            duration_s=windows[-1].end_s,
            clip_rate_hz=self._store.clip_rate_hz,
        )
        return average_clips(clips[part.first : part.end], self._num_cells)

"""Long videos: a localizer reads one window after another; their candidates are those of the video.

Letters: B pairs of a sentence and a window, S clips, P places, D width, N cells, M candidates of a window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from corpus.store import FeatureStore, Half
from corpus.windows import Window, WindowId, WindowRule, cut_video
from models.exchange.batches import TextFeatures
from models.exchange.inputs import Predictions, average_clips, predict_candidates
from models.exchange.roles import Localizer

CELLS_KEPT = 4096  # windows of which the cells are held at once


@dataclass(frozen=True)
class WindowedVideos:
    """Videos as a localizer reads them: their windows in order, and the cells (N, P, D) of each window."""

    windows: Mapping[str, tuple[Window, ...]]
    cells: Mapping[WindowId, Half]

    def list_ids(self, video_id: str) -> list[WindowId]:
        """Return the windows of a video, in order."""
        return [WindowId(video_id, number) for number in range(len(self.windows[video_id]))]

    def get_window(self, window: WindowId) -> Window:
        """Return where a window lies in its video."""
        return self.windows[window.video_id][window.number]

    def lend(self, sources: Mapping[str, str], durations_s: Mapping[str, float]) -> "WindowedVideos":
        """Return videos of their own lengths that each have the windows and cells of another one, `sources[video_id]`."""
        windows = {
            video_id: _stretch(self.windows[source], length_s=durations_s[video_id]) for video_id, source in sources.items()
        }
        return WindowedVideos(windows, _LentCells(self.cells, sources, windows))


def cut_stored_videos(store: FeatureStore, durations_s: Mapping[str, float], num_cells: int, rule: WindowRule) -> WindowedVideos:
    """Return stored videos, given by their lengths in seconds, in windows; cells are averaged when they are asked for."""
    windows = {
        video_id: cut_video(store.count_clips(video_id), duration_s, rule, clip_rate_hz=store.clip_rate_hz)
        for video_id, duration_s in durations_s.items()
    }
    return WindowedVideos(windows, _StoredCells(store, windows, num_cells))


def keep_whole(cells: Mapping[str, Half], durations_s: Mapping[str, float]) -> WindowedVideos:
    """Return videos that are one window each, given by their cells and their lengths in seconds."""
    windows = {video_id: (Window(0, len(cells[video_id]), 0.0, duration_s),) for video_id, duration_s in durations_s.items()}
    return WindowedVideos(windows, {WindowId(video_id, 0): cells[video_id] for video_id in durations_s})


def predict_windows(
    localizer: Localizer, videos: WindowedVideos, windows: Sequence[WindowId], text: TextFeatures, *, batch_size: int = 64
) -> Predictions:
    """Localize query i of `text` in window `windows[i]`: candidates (B, M) in seconds of its video."""
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


class _LentCells(Mapping[WindowId, Half]):
    """The cells of other videos."""

    def __init__(
        self, cells: Mapping[WindowId, Half], sources: Mapping[str, str], windows: Mapping[str, tuple[Window, ...]]
    ) -> None:
        self._cells = cells
        self._sources = sources
        self._windows = windows

    def __getitem__(self, window: WindowId) -> Half:
        return self._cells[window._replace(video_id=self._sources[window.video_id])]

    def __iter__(self) -> Iterator[WindowId]:
        return _iterate_ids(self._windows)

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))


class _StoredCells(Mapping[WindowId, Half]):
    """The cells of windows, averaged from the store; the last ones that were asked for are held."""

    def __init__(self, store: FeatureStore, windows: Mapping[str, tuple[Window, ...]], num_cells: int) -> None:
        self._windows = windows
        self._num_cells = num_cells
        self._load = lru_cache(maxsize=1)(store.load)  # the windows of a video follow one another
        self._average = lru_cache(maxsize=CELLS_KEPT)(self._average_window)

    def __getitem__(self, window: WindowId) -> Half:
        return self._average(window)

    def __iter__(self) -> Iterator[WindowId]:
        return _iterate_ids(self._windows)

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))

    def _average_window(self, window: WindowId) -> Half:
        first, end = self._windows[window.video_id][window.number][:2]
        return average_clips(self._load(window.video_id)[first:end], self._num_cells)

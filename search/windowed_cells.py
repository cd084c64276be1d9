"""The localizer's cells of a video, stream by stream and window by window.

Letters: C cells of all windows of a video, N cells of a window, P places, D width.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from corpus.moments import Ints
from corpus.store import Half
from corpus.windows import Window
from search.bundle import Manifest


class StreamCells(NamedTuple):
    """The localizer's cells of one stream of a video."""

    num_clips: int  # of the stream; cells average them
    array: Half  # (C, P, D), in the order of `Manifest.share_cells`; windows share cells


@dataclass(frozen=True, slots=True)
class WindowedCells:
    """The localizer's cells of a video; mapped arrays are read on demand."""

    windows: tuple[Window, ...]  # in clips of the localizer's first stream
    streams: Mapping[str, StreamCells]
    rows: Mapping[str, tuple[slice | Ints, ...]]  # the cells of each window, by stream

    @classmethod
    def build(cls, streams: Mapping[str, StreamCells], manifest: Manifest, *, duration_s: float) -> "WindowedCells":
        """Return the windows of a video.

        Raises:
            ValueError: when the cells do not fit the bundle of `manifest`.
        """
        num_clips = {name: one.num_clips for name, one in streams.items()}
        _require_streams(num_clips, manifest)
        windows = manifest.cut(num_clips, duration_s)
        tables = manifest.share_cells(windows, num_clips, duration_s)
        for name, table in tables.items():
            dims = manifest.streams[name].dims
            expected, found = (len(table.ranges), dims.num_places, dims.dim), streams[name].array.shape
            if found != expected:
                raise ValueError(f"cells of the stream {name!r} must be {expected}, got {found}; encode the video again")
        return cls(windows, streams, {name: table.rows for name, table in tables.items()})

    def get(self, number: int) -> tuple[dict[str, Half], Window]:
        """Return the cells of a window, (N, P, D) of each stream, and its place in the video."""
        return {name: self.streams[name].array[rows[number]] for name, rows in self.rows.items()}, self.windows[number]


def _require_streams(found: Collection[str], manifest: Manifest) -> None:
    if set(found) != set(manifest.localizer_streams):
        raise ValueError(
            f"cells must be of the streams {', '.join(sorted(manifest.localizer_streams))}, "
            f"got {', '.join(sorted(found)) or 'none'}; encode the video again"
        )

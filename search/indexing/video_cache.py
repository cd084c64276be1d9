"""Cache of the videos that a trained bundle encoded; see `search.indexing.encoded_cache`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from corpus.code import find_closure
from corpus.media import decoder_version
from search.bundle import Manifest
from search.indexing.encoded_cache import EncodedCache
from search.indexing.video_indexer import EncodedVideo, VideoIndexer
from search.windowed_cells import StreamCells


class VideoCache(EncodedCache[EncodedVideo]):
    """Keeps the vectors and cells of videos."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use a folder as the cache of a bundle."""
        key = [manifest.encoding, decoder_version(), find_closure([VideoIndexer]).hash]
        self._streams = manifest.localizer_streams
        super().__init__(folder, key, arrays=["vectors", *(f"cells-{stream}" for stream in self._streams)])

    def pack(self, encoded: EncodedVideo) -> tuple[Sequence[NDArray[Any]], Mapping[str, Any]]:
        """Return the vectors and the cells of each stream, and the numbers of clips that the cells average."""
        facts = {
            "duration_s": encoded.duration_s,
            "notes": list(encoded.notes),
            "num_clips": {name: cells.num_clips for name, cells in encoded.cells.items()},
        }
        return [encoded.vectors, *(encoded.cells[name].array for name in self._streams)], facts

    def unpack(self, arrays: Sequence[NDArray[Any]], facts: Mapping[str, Any]) -> EncodedVideo:
        """Return the encoded video."""
        vectors, *cells = arrays
        num_clips = facts["num_clips"]
        streams = {name: StreamCells(num_clips[name], array) for name, array in zip(self._streams, cells, strict=True)}
        return EncodedVideo(facts["duration_s"], vectors, streams, tuple(facts.get("notes", ())))

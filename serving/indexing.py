"""What the index holds of a video, from its file or from its stored features, by one piece of code.

Letters: S clips, K frames of a clip, H height and width in pixels, P places, D width, W windows, N cells, E embedding width.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corpus.media import check_decodable, compute_clip_times, iter_clips, probe
from corpus.store import Half
from corpus.windows import resample_windows
from serving.bundle import Bundle
from serving.clip_index import Vectors
from serving.networks import Networks

CLIPS_PER_BATCH = 64  # decoded and encoded at once: bounds the memory, whatever the length of the video
WINDOWS_IN_MEMORY = 16  # of a longer video, the cells go to a file


class EncodedVideo(NamedTuple):
    """What the index holds of a video beside its name."""

    duration_s: float
    vectors: Vectors  # (S, E) of unit length, for the clip index
    cells: Half  # (W, N, P, D), for the localizer, one row per window


class VideoIndexer:
    """Encodes videos with the networks of a bundle, batch by batch.

    Memory holds one batch, the vectors (0.26 MB a minute with those of the default bundle) and the cells of a few windows.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int = 1) -> None:
        """Use a verified bundle. Sums of another number of threads may differ in their last bit."""
        self._manifest = bundle.manifest
        self._networks = Networks(bundle, num_threads=num_threads)

    def encode_file(self, path: Path, *, report: Callable[[float], None]) -> EncodedVideo:
        """Decode a file from start to end and encode it; `report` gets the share of its clips that are encoded.

        Raises:
            UndecodableError: naming the file and why it cannot be decoded.
            ValueError: when a feature does not fit into float16, or the bundle has no video encoder.
            OSError: when the file cannot be read.
        """
        sampling = self._manifest.require_sampling()
        duration_s = probe(path).duration_s
        check_decodable(path)
        num_clips = len(compute_clip_times(duration_s, sampling))
        return self._encode(self._iter_features(path, duration_s, num_clips, report), num_clips, duration_s)

    def encode_features(self, features: Half, *, duration_s: float) -> EncodedVideo:
        """Encode a video of which the features are known: (S, P, D)."""
        starts = range(0, len(features), CLIPS_PER_BATCH)
        return self._encode((features[start : start + CLIPS_PER_BATCH] for start in starts), len(features), duration_s)

    def _iter_features(self, path: Path, duration_s: float, num_clips: int, report: Callable[[float], None]) -> Iterator[Half]:
        done = 0
        sampling = self._manifest.require_sampling()
        for clips in iter_clips(path, sampling, duration_s=duration_s, clips_per_batch=CLIPS_PER_BATCH):  # (n, K, H, H, 3)
            with np.errstate(over="ignore"):  # the next lines say it
                features = self._networks.encode_clips(clips).astype(np.float16)  # (n, P, D)
            if not np.isfinite(features).all():
                raise ValueError("a feature is not a finite float16: the bundle's video encoder is not fit for this video")
            yield features
            done += len(features)
            report(done / num_clips)

    def _encode(self, batches: Iterable[Half], num_clips: int, duration_s: float) -> EncodedVideo:
        vectors: list[Vectors] = []

        def embed() -> Iterator[Half]:
            for features in batches:
                vectors.append(self._networks.embed_clips(features))
                yield features

        windows = self._manifest.cut(num_clips, duration_s)
        parts = (part.astype(np.float16) for part in resample_windows(embed(), windows, self._manifest.num_cells))
        cells = np.stack(list(parts)) if len(windows) <= WINDOWS_IN_MEMORY else _spill(parts)
        return EncodedVideo(duration_s, np.concatenate(vectors), cells)


def _spill(parts: Iterable[Half]) -> Half:
    """Return arrays of one shape as one that lies in a file without a name: it is read as it is needed."""
    with tempfile.TemporaryFile() as file:
        count = 0
        for part in parts:
            file.write(np.ascontiguousarray(part).data)
            count += 1
        file.flush()
        return np.asarray(np.memmap(file, dtype=part.dtype, mode="r", shape=(count, *part.shape)))

"""Feature archive: reads all streams of a video and converts them for the feature store."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from corpus.feature_files.arrays import ArrayReader, FeatureFault
from corpus.feature_files.schema import FeatureFilesParams, FeatureStream
from corpus.files import sha256_json
from corpus.store import Half

_SMALLEST_NORM = 1e-12


class StoredStreams(NamedTuple):
    """The stored arrays of a video, one (S, width) per stream. Their lengths differ by a few rows at most."""

    arrays: tuple[NDArray[Any], ...]

    @property
    def num_rows(self) -> int:
        """The number of rows that all streams have."""
        return min(map(len, self.arrays))

    def compute_sha256(self) -> str:
        """Return the hash over types, shapes and bytes of all streams."""
        return _hash_arrays(self.arrays)

    def cut(self) -> tuple[NDArray[Any], ...]:
        """Return all streams cut to the shortest one."""
        return tuple(array[: self.num_rows] for array in self.arrays)


class StreamFeatures(NamedTuple):
    """One stream of a video, ready for the feature store."""

    features: Half  # (S, 1, D)
    sha256: str  # of the stored rows


class FeatureArchive:
    """Reader of the features of videos. Files that hold all videos stay open until `close`."""

    def __init__(self, root: Path, params: FeatureFilesParams) -> None:
        """Open the files of an archive in the folder of a corpus.

        Raises:
            FileNotFoundError: naming a missing file of all videos.
            ValueError: naming a file that is damaged or not HDF5.
        """
        self.params = params
        self._readers = [ArrayReader(root, stream) for stream in params.streams]

    def read(self, video_id: str) -> StoredStreams:
        """Read the streams of a video.

        Raises:
            FeatureFault: when a stream has no usable array, or the lengths differ by more than `max_length_difference`.
        """
        found = StoredStreams(tuple(reader.read(video_id) for reader in self._readers))
        lengths = [len(array) for array in found.arrays]
        if max(lengths) - min(lengths) > self.params.max_length_difference:
            raise FeatureFault("of streams that differ in length", " and ".join(map(str, lengths)) + " rows")
        return found

    def convert(self, found: StoredStreams) -> dict[str, "StreamFeatures"]:
        """Cut the streams of a video to the shortest, normalise them as configured, and return them by name."""
        return {
            stream.name: StreamFeatures(_to_half(array, stream)[:, None], _hash_arrays([array]))
            for array, stream in zip(found.cut(), self.params.streams, strict=True)
        }

    def close(self) -> None:
        """Close all files."""
        for reader in self._readers:
            reader.close()

    def __enter__(self) -> Self:
        """Return the open archive."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all files."""
        self.close()


def compute_identity(stream: FeatureStream, contents: Mapping[str, str]) -> dict[str, str]:
    """Return the fingerprint identity of a stream from files: its normalisation and the bytes of every video's rows.

    `contents` maps video ids to the hashes of `StreamFeatures`. Paths and keys of the files do not count.
    """
    settings = stream.model_dump(mode="json", include={"width", "normalise"})
    return {"settings": sha256_json(settings), "arrays": sha256_json(dict(contents))}


def _hash_arrays(arrays: Sequence[NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _to_half(array: NDArray[Any], stream: FeatureStream) -> Half:
    """Normalise (S, D) rows as configured; zero rows stay zero.

    Deviation from Moment-DETR, which adds 1e-5 to the norm: this divides by max(norm, 1e-12) as 2D-TAN does.
    """
    if stream.normalise == "l2":
        rows = array.astype(np.result_type(array.dtype, np.float32), copy=False)
        norms = np.sqrt(np.einsum("sd,sd->s", rows, rows, dtype=np.float64))  # (S,)
        array = rows / np.maximum(norms, _SMALLEST_NORM).astype(rows.dtype)[:, None]
    half: Half = array.astype(np.float16)
    return half

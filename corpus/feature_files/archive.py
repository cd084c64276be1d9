"""The features of videos from all streams of an archive, ready for the feature store."""

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
    """The arrays of a video as they are stored, one (S, width) a stream, whose lengths agree but for a few rows."""

    arrays: tuple[NDArray[Any], ...]

    @property
    def num_rows(self) -> int:
        """The rows that all streams have."""
        return min(map(len, self.arrays))

    def compute_sha256(self) -> str:
        """Return the hash of types, shapes and bytes."""
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class FeatureArchive:
    """Reads the features of videos; files that hold all videos stay open until `close`."""

    def __init__(self, root: Path, params: FeatureFilesParams) -> None:
        """Open the files of an archive in the folder of a corpus.

        Raises:
            FileNotFoundError: naming a file of all videos that is not there.
            ValueError: naming one that is no HDF5 file or is damaged.
        """
        self.params = params
        self._readers = [ArrayReader(root, stream) for stream in params.streams]

    def read(self, video_id: str) -> StoredStreams:
        """Read the streams of a video.

        Raises:
            FeatureFault: when a stream has no usable array, or their lengths differ by more than is allowed.
        """
        found = StoredStreams(tuple(reader.read(video_id) for reader in self._readers))
        lengths = [len(array) for array in found.arrays]
        if max(lengths) - min(lengths) > self.params.max_length_difference:
            raise FeatureFault("of streams that differ in length", " and ".join(map(str, lengths)) + " rows")
        return found

    def combine(self, found: StoredStreams) -> Half:
        """Normalise the streams as asked and put them side by side, cut to the shortest: (S, 1, D)."""
        parts = [
            _to_half(array[: found.num_rows], stream) for array, stream in zip(found.arrays, self.params.streams, strict=True)
        ]
        return np.concatenate(parts, axis=1)[:, None]

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


def compute_identity(streams: Sequence[FeatureStream], contents: Mapping[str, str]) -> dict[str, str]:
    """Return what makes features from files the same: how streams are put together, and the bytes of every video's arrays.

    `contents` maps video ids to the hashes of `StoredStreams`. Where the files lie and what their keys are does not count.
    """
    settings = [stream.model_dump(mode="json", include={"width", "normalise"}) for stream in streams]
    return {"streams": sha256_json(settings), "arrays": sha256_json(dict(contents))}


def _to_half(array: NDArray[Any], stream: FeatureStream) -> Half:
    """Normalise (S, D) rows as asked, zero rows staying zero.

    Deviation from Moment-DETR, which adds 1e-5 to the norm: this is 2D-TAN's x / max(norm, 1e-12).
    """
    if stream.normalise == "l2":
        rows = array.astype(np.result_type(array.dtype, np.float32), copy=False)
        norms = np.sqrt(np.einsum("sd,sd->s", rows, rows, dtype=np.float64))  # (S,)
        array = rows / np.maximum(norms, _SMALLEST_NORM).astype(rows.dtype)[:, None]
    half: Half = array.astype(np.float16)
    return half

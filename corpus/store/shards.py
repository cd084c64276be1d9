"""Shards: files of a stream, each with the clips of several videos."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from corpus.files import sha256_file, write_bytes

Half = NDArray[np.float16]


def choose_shard(video_id: str, num_shards: int) -> int:
    """Return the shard of a video by a stable hash of its id, so that one changed video rewrites one shard."""
    return zlib.crc32(video_id.encode()) % num_shards


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a stream with the clips of each of its videos."""

    file: str  # in the folder of the stream
    sha256: str
    num_clips: Mapping[str, int]


def save_shard(features: Mapping[str, Half], path: Path) -> Shard:
    """Write the features of one shard's videos, each (S, P, D) float16, and return its index entry.

    The file appears whole or not at all.

    Raises:
        NoRoomError: when the file does not fit, naming it, the bytes needed and the bytes free.
    """
    ordered = {video_id: np.ascontiguousarray(features[video_id]) for video_id in sorted(features)}
    write_bytes(path, save(ordered))
    return Shard(path.name, sha256_file(path), {video_id: len(array) for video_id, array in ordered.items()})

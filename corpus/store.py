"""The feature store: packed shards of clip features with the fingerprint of everything that made them.

A store is a folder: `index.json` (fingerprint, clip rate, one entry per shard) and `shard-000.safetensors`, ... with one
float16 tensor (S, P, D) per video. S clips, P places of a clip (1 where the encoder keeps none), D width. Without a clip
rate, the clips of each video span it evenly.
"""

import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from corpus.files import read_json, sha256_file, sha256_json, write_bytes, write_json

Half = NDArray[np.float16]


class FingerprintMismatchError(ValueError):
    """Two artefacts were made with different features."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What made a feature. `identity` must agree wherever features meet; `environment` may differ with a warning."""

    identity: Mapping[str, str]  # for instance sampling, weights, normalisation: name -> hash or value
    environment: Mapping[str, str]  # for instance the decoder's version

    @property
    def digest(self) -> str:
        """The hash of the identity."""
        return sha256_json(dict(self.identity))

    def to_json(self) -> dict[str, dict[str, str]]:
        """Return the JSON form."""
        return {"identity": dict(self.identity), "environment": dict(self.environment)}

    @classmethod
    def from_json(cls, row: Mapping[str, Mapping[str, str]]) -> "Fingerprint":
        """Build a fingerprint from its JSON form."""
        return cls(identity=dict(row["identity"]), environment=dict(row["environment"]))


def require_same_fingerprint(*, expected: Fingerprint, found: Fingerprint, what: str) -> None:
    """Refuse `what` when its identity differs from the expected one; warn when only the environment does.

    Raises:
        FingerprintMismatchError: naming the fields that differ and both values.
    """
    for part in ("identity", "environment"):
        left, right = getattr(expected, part), getattr(found, part)
        names = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
        if not names:
            continue
        differences = "; ".join(f"{name}: expected {left.get(name)}, found {right.get(name)}" for name in names)
        if part == "identity":
            raise FingerprintMismatchError(f"{what} was made with other features ({differences}); run: dvc repro")
        warnings.warn(f"{what} was made in another environment ({differences})", stacklevel=2)


def choose_shard(video_id: str, num_shards: int) -> int:
    """Return the shard of a video: a stable hash of its id, so that one changed video rewrites one shard."""
    return zlib.crc32(video_id.encode()) % num_shards


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of the store with the clips of each of its videos."""

    file: str
    sha256: str
    num_clips: Mapping[str, int]


def save_shard(features: Mapping[str, Half], path: Path) -> Shard:
    """Write the features of one shard's videos, each (S, P, D) float16, and return its index entry.

    The file appears whole or not at all.

    Raises:
        NoRoomError: when it does not fit, naming the file, the bytes needed and the bytes free.
    """
    ordered = {video_id: np.ascontiguousarray(features[video_id]) for video_id in sorted(features)}
    write_bytes(path, save(ordered))
    return Shard(path.name, sha256_file(path), {video_id: len(array) for video_id, array in ordered.items()})


def save_index(folder: Path, *, fingerprint: Fingerprint, clip_rate_hz: float | None, shards: list[Shard]) -> None:
    """Write the store's index: with it, the store is complete."""
    index = {
        "fingerprint": fingerprint.to_json(),
        "clip_rate_hz": clip_rate_hz,
        "shards": [asdict(shard) for shard in shards],
    }
    write_json(folder / "index.json", index)


class FeatureStore:
    """Reads the features of videos from a folder; each shard's checksum is verified when it is first opened."""

    def __init__(self, folder: Path) -> None:
        """Open the store's index.

        Raises:
            FileNotFoundError: when the folder holds no finished store.
        """
        index_path = folder / "index.json"
        if not index_path.is_file():
            raise FileNotFoundError(f"{index_path} does not exist: no finished feature store; run: dvc repro extract")
        index = read_json(index_path)
        self.folder = folder
        self.fingerprint = Fingerprint.from_json(index["fingerprint"])
        self.clip_rate_hz: float | None = index["clip_rate_hz"]
        self._shards = [Shard(**entry) for entry in index["shards"]]
        self._shard_of = {video_id: shard for shard in self._shards for video_id in shard.num_clips}
        self._verified: set[str] = set()

    @property
    def video_ids(self) -> tuple[str, ...]:
        """The videos of the store, sorted."""
        return tuple(sorted(self._shard_of))

    @cached_property
    def feature_shape(self) -> tuple[int, int]:
        """Places and width (P, D) of every clip."""
        _, num_places, width = self.load(self.video_ids[0]).shape
        return num_places, width

    def count_clips(self, video_id: str) -> int:
        """Return the number of clips S of one video.

        Raises:
            KeyError: naming a video that the store does not hold.
        """
        return self._find_shard(video_id).num_clips[video_id]

    def load(self, video_id: str) -> Half:
        """Return the features of one video, (S, P, D) float16.

        Raises:
            KeyError: naming a video that the store does not hold.
            ValueError: naming a shard whose bytes are not the ones that were written.
        """
        shard = self._find_shard(video_id)
        path = self.folder / shard.file
        self._verify(shard, path)
        with safe_open(path, framework="numpy") as tensors:
            features: Half = tensors.get_tensor(video_id)
        return features

    def items(self) -> Iterator[tuple[str, Half]]:
        """Yield (video id, features) of all videos, sorted by id."""
        for video_id in self.video_ids:
            yield video_id, self.load(video_id)

    def _find_shard(self, video_id: str) -> Shard:
        if video_id not in self._shard_of:
            raise KeyError(f"no features for video {video_id!r} in {self.folder}; run: dvc repro extract")
        return self._shard_of[video_id]

    def _verify(self, shard: Shard, path: Path) -> None:
        if shard.file in self._verified:
            return
        found = sha256_file(path)
        if found != shard.sha256:
            raise ValueError(f"{path} is damaged: sha256 {found}, expected {shard.sha256}; run: dvc repro --force extract")
        self._verified.add(shard.file)

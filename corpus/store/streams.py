"""Reading and indexing of the streams of a feature store; `corpus.store` describes the folder."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import safe_open

from corpus.files import read_json, require_format_version, sha256_file, write_json
from corpus.store.fingerprints import Fingerprint, combine_fingerprints
from corpus.store.shards import Half, Shard

FORMAT_VERSION = 2  # 1 had one stream without a name
INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """Index entry of a stream."""

    fingerprint: Fingerprint
    clip_rate_hz: float | None
    shards: Sequence[Shard]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "fingerprint": self.fingerprint.to_json(),
            "clip_rate_hz": self.clip_rate_hz,
            "shards": [asdict(shard) for shard in self.shards],
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "StreamEntry":
        """Build an entry from its JSON form."""
        shards = tuple(Shard(**shard) for shard in row["shards"])
        return cls(Fingerprint.from_json(row["fingerprint"]), row["clip_rate_hz"], shards)


def save_index(folder: Path, streams: Mapping[str, StreamEntry]) -> None:
    """Write the index last, which marks the store as complete."""
    index = {"format_version": FORMAT_VERSION, "streams": {name: entry.to_json() for name, entry in sorted(streams.items())}}
    write_json(folder / INDEX, index)


class StreamStore:
    """Reader of the features of one stream. It verifies the checksum of each shard on first use."""

    def __init__(self, name: str, folder: Path, entry: StreamEntry) -> None:
        """Store the folder of the stream and its index entry."""
        self.name = name
        self.folder = folder
        self.fingerprint = entry.fingerprint
        self.clip_rate_hz = entry.clip_rate_hz
        self._shard_of = {video_id: shard for shard in entry.shards for video_id in shard.num_clips}
        self._verified: set[str] = set()

    @property
    def video_ids(self) -> tuple[str, ...]:
        """The videos of the stream, sorted."""
        return tuple(sorted(self._shard_of))

    @cached_property
    def feature_shape(self) -> tuple[int, int]:
        """Places and width (P, D) of every clip."""
        _, num_places, width = self.load(self.video_ids[0]).shape
        return num_places, width

    def count_clips(self, video_id: str) -> int:
        """Return the number of clips S of one video.

        Raises:
            KeyError: naming a video that the stream does not hold.
        """
        return self._find_shard(video_id).num_clips[video_id]

    def load(self, video_id: str) -> Half:
        """Return the features of one video, (S, P, D) float16.

        Raises:
            KeyError: naming a video that the stream does not hold.
            ValueError: naming a shard with a wrong checksum.
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


class FeatureStore:
    """The named streams of a folder, in the order of their names."""

    def __init__(self, folder: Path) -> None:
        """Open the store's index.

        Raises:
            FileNotFoundError: when the folder holds no finished store.
            ValueError: when the store was written by another version of this code.
        """
        path = folder / INDEX
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: no finished feature store; run: dvc repro extract")
        index = read_json(path)
        found = index.get("format_version")
        require_format_version(path, found, expected=FORMAT_VERSION, remedy="dvc repro --force extract")
        self.folder = folder
        self.streams: Mapping[str, StreamStore] = {
            name: StreamStore(name, folder / name, StreamEntry.from_json(row)) for name, row in index["streams"].items()
        }

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of all streams together."""
        return self.combine_fingerprint(self.streams)

    def combine_fingerprint(self, names: Collection[str]) -> Fingerprint:
        """Return the joint fingerprint of some streams, in any order.

        Raises:
            ValueError: naming a stream that the store lacks.
        """
        return combine_fingerprints({name: self.stream(name).fingerprint for name in names})

    def stream(self, name: str) -> StreamStore:
        """Return one stream.

        Raises:
            ValueError: naming the missing stream, the existing ones, and the remedy.
        """
        if name not in self.streams:
            raise ValueError(
                f"{self.folder} holds no stream {name!r}, only {', '.join(self.streams)}; add it, made by an encoder: "
                f"dvc exp run -S +pretrain.streams.{name}=PRESET (of presets/encoder/), or name it in presets/features/"
            )
        return self.streams[name]

"""Feature shards: assigns videos to shards, keeps finished shards in a cache, and publishes them to the store."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.files import read_json, remove_all_but, sha256_file, sha256_json, write_file, write_json
from corpus.records import Video
from corpus.store import Shard, choose_shard, save_shard

Features = NDArray[np.float16]  # (S, P, D) of a video


class ShardJob(NamedTuple):
    """One shard to make: its videos and its place in the cache."""

    videos: tuple[Video, ...]
    path: Path


def count_shards(num_videos: int, videos_per_shard: int) -> int:
    """Return a power of two, so that an added video rarely moves the others to new shards."""
    return 1 << (-(-num_videos // videos_per_shard) - 1).bit_length()


def group_videos(videos: Sequence[Video], videos_per_shard: int) -> list[tuple[Video, ...]]:
    """Assign the videos to shards by their ids, without empty shards."""
    num_shards = count_shards(len(videos), videos_per_shard)
    shards: list[list[Video]] = [[] for _ in range(num_shards)]
    for video in sorted(videos, key=lambda video: video.video_id):
        shards[choose_shard(video.video_id, num_shards)].append(video)
    return [tuple(shard) for shard in shards if shard]


def plan_shards(videos: Sequence[Video], videos_per_shard: int, folder: Path) -> list[ShardJob]:
    """Return the shards of the videos, each with its place in `folder`, which holds shards of equal code and encoder."""
    return [ShardJob(part, _cached_path(folder, part)) for part in group_videos(videos, videos_per_shard)]


def save_cached(features: Mapping[str, Features], path: Path) -> None:
    """Write one shard, then its index entry beside it; the entry marks a finished shard."""
    write_json(_entry_path(path), asdict(save_shard(features, path)))


def is_finished(path: Path) -> bool:
    """Tell whether a cached shard holds the bytes that were written."""
    entry = _entry_path(path)
    return entry.is_file() and path.is_file() and sha256_file(path) == read_json(entry)["sha256"]


def publish_shard(cached: Path, target: Path) -> Shard:
    """Copy a finished shard to the feature store."""
    with cached.open("rb") as source:
        write_file(target, lambda file: shutil.copyfileobj(source, file))
    entry = read_json(_entry_path(cached))
    return Shard(target.name, entry["sha256"], entry["num_clips"])


def remove_others(jobs: Sequence[ShardJob]) -> None:
    """Remove the shards that this run did not use from a stream's cache; the next run reuses the others."""
    folder = jobs[0].path.parent
    remove_all_but(folder.parent, {folder})
    remove_all_but(folder, {path for job in jobs for path in (job.path, _entry_path(job.path))})


def _cached_path(folder: Path, videos: Sequence[Video]) -> Path:
    key = sha256_json([[video.video_id, video.sha256, video.duration_s] for video in videos])
    return folder / f"{key[:32]}.safetensors"


def _entry_path(path: Path) -> Path:
    return path.with_suffix(".json")

"""Packing of a corpus's feature files into the feature store."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from corpus.feature_files.archive import FeatureArchive, StreamFeatures, compute_identity
from corpus.feature_files.arrays import FeatureFault
from corpus.feature_files.schema import FeatureFilesParams, FeatureStream
from corpus.records import Video
from corpus.store import Fingerprint, Shard, StreamEntry, save_index, save_shard
from pipeline.executors.machine import map_in_processes


class PackJob(NamedTuple):
    """One shard of every stream to write: its videos, and the name of its files."""

    videos: tuple[Video, ...]
    file: str


class PackedShard(NamedTuple):
    """One shard of a stream, and the hashes of the rows of its videos."""

    shard: Shard
    contents: dict[str, str]


def pack_features(groups: Sequence[tuple[Video, ...]], *, root: Path, files: FeatureFilesParams, out_dir: Path) -> int:
    """Write the feature store of videos, one shard a group and stream, in worker processes; return the number of clips.

    `root` is the folder of the corpus. The rows of a video are its clips, which cover it evenly.

    Raises:
        ValueError: when there is no video, or naming a video whose features differ from those that `ingest` read.
    """
    num_videos = sum(map(len, groups))
    if not num_videos:
        raise ValueError("the corpus has no videos; see data/corpus/ and run: dvc repro ingest")
    jobs = [PackJob(group, f"shard-{number:03d}.safetensors") for number, group in enumerate(groups)]
    packed: list[dict[str, PackedShard]] = []
    with tqdm(total=num_videos, desc="pack", unit="video") as bar:
        for shards in map_in_processes(partial(_pack, root=root, files=files, out_dir=out_dir), jobs, what="pack features"):
            packed.append(shards)
            bar.update(len(next(iter(shards.values())).contents))
    entries = {stream.name: _describe(stream, [shards[stream.name] for shards in packed]) for stream in files.streams}
    save_index(out_dir, entries)
    return sum(sum(shard.num_clips.values()) for shard in next(iter(entries.values())).shards)


def _describe(stream: FeatureStream, packed: Sequence[PackedShard]) -> StreamEntry:
    """Return the index entry of a stream."""
    contents = {video_id: digest for part in packed for video_id, digest in part.contents.items()}
    shards = sorted((part.shard for part in packed), key=lambda shard: shard.file)
    return StreamEntry(Fingerprint(compute_identity(stream, contents), environment={}), clip_rate_hz=None, shards=shards)


def _pack(job: PackJob, *, root: Path, files: FeatureFilesParams, out_dir: Path) -> dict[str, PackedShard]:
    """Write the shard of every stream."""
    with FeatureArchive(root, files) as archive:
        videos = {video.video_id: _load(archive, video) for video in job.videos}
    packed = {}
    for stream in files.streams:
        found = {video_id: streams[stream.name] for video_id, streams in videos.items()}
        shard = save_shard({video_id: one.features for video_id, one in found.items()}, out_dir / stream.name / job.file)
        packed[stream.name] = PackedShard(shard, {video_id: one.sha256 for video_id, one in found.items()})
    return packed


def _load(archive: FeatureArchive, video: Video) -> dict[str, StreamFeatures]:
    try:
        stored = archive.read(video.video_id)
    except FeatureFault as fault:
        raise ValueError(f"the features of the video {video.video_id!r} are {fault}; run: dvc repro ingest") from fault
    if stored.compute_sha256() != video.sha256:
        raise ValueError(
            f"the features of the video {video.video_id!r} have changed since they were ingested; run: dvc repro ingest"
        )
    return archive.convert(stored)

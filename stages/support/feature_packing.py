"""Packs the features that a corpus brings in files into the feature store."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from corpus.feature_files.archive import FeatureArchive, compute_identity
from corpus.feature_files.arrays import FeatureFault
from corpus.feature_files.schema import FeatureFilesParams
from corpus.records import Video
from corpus.store import Fingerprint, Half, Shard, save_index, save_shard
from stages.support.machine import map_in_processes


class PackJob(NamedTuple):
    """One shard to write and its videos."""

    videos: tuple[Video, ...]
    path: Path


def pack_features(groups: Sequence[tuple[Video, ...]], *, root: Path, files: FeatureFilesParams, out_dir: Path) -> int:
    """Write the feature store of videos, one shard a group, in worker processes; return the number of clips.

    `root` is the folder of the corpus. The rows of a video are its clips, which span it evenly.

    Raises:
        ValueError: when there is no video, or naming one whose features are not those that `ingest` read.
    """
    videos = [video for group in groups for video in group]
    if not videos:
        raise ValueError("the corpus has no videos; see data/corpus/ and run: dvc repro ingest")
    jobs = [PackJob(group, out_dir / f"shard-{number:03d}.safetensors") for number, group in enumerate(groups)]
    shards: list[Shard] = []
    with tqdm(total=len(videos), desc="pack", unit="video") as bar:
        for shard in map_in_processes(partial(_pack, root=root, files=files), jobs, what="pack features"):
            shards.append(shard)
            bar.update(len(shard.num_clips))
    identity = compute_identity(files.streams, {video.video_id: video.sha256 for video in videos})
    ordered = sorted(shards, key=lambda shard: shard.file)
    save_index(out_dir, fingerprint=Fingerprint(identity, environment={}), clip_rate_hz=None, shards=ordered)
    return sum(sum(shard.num_clips.values()) for shard in shards)


def _pack(job: PackJob, *, root: Path, files: FeatureFilesParams) -> Shard:
    with FeatureArchive(root, files) as archive:
        return save_shard({video.video_id: _load(archive, video) for video in job.videos}, job.path)


def _load(archive: FeatureArchive, video: Video) -> Half:
    try:
        stored = archive.read(video.video_id)
    except FeatureFault as fault:
        raise ValueError(f"the features of the video {video.video_id!r} are {fault}; run: dvc repro ingest") from fault
    if stored.compute_sha256() != video.sha256:
        raise ValueError(
            f"the features of the video {video.video_id!r} were changed since they were ingested; run: dvc repro ingest"
        )
    return archive.combine(stored)

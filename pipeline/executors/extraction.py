"""Extraction of features: worker processes decode and encode videos, and finished shards go through a cache to the store.

Each stream has its own shards, so a new stream leaves the shards of the others unchanged.
"""

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from corpus.files import remove_all_but, sha256_json
from corpus.isolation import Budget, Report
from corpus.media import ClipSampling, Images, Samples, count_clips, decoder_version, encode_distinct, iter_stream_clips
from corpus.records import Video
from corpus.store import Fingerprint, Shard, StreamEntry, save_index
from models.artefacts.encoder_files import StreamEncoder, load_encoders
from models.contracts.roles import ClipEncoder
from pipeline.executors.decoding import decode_videos
from pipeline.executors.machine import choose_device, count_workers, prepare_torch
from pipeline.executors.shards import (
    Features,
    ShardJob,
    is_finished,
    plan_shards,
    publish_shard,
    remove_others,
    save_cached,
)
from pipeline.identity import hash_code


class StreamReport(NamedTuple):
    """The counts and the time of the extraction of one stream."""

    num_videos: int
    num_clips: int
    num_new_videos: int  # whose shards were not in the cache
    seconds: float


@torch.inference_mode()
def encode_video(
    video: Video,
    media_dir: Path,
    encoder: ClipEncoder,
    *,
    device: torch.device | None = None,
    num_threads: int = 1,
    report: Report = lambda share: None,
) -> Features:
    """Decode and encode a video batch by batch: (S, P, D) float16. `report` receives the share that is done.

    The encoder is on `device`, by default the CPU. A video without sound has silence in a stream of sound.

    Raises:
        UndecodableError: naming the file and the reason.
        ValueError: when a feature does not fit into float16.
    """
    path, duration_s, sampling = video.locate(media_dir), video.duration_s, encoder.sampling
    num_clips, parts = count_clips(duration_s, sampling.clip_rate_hz), list[Features]()
    reuse_below = sampling.reuse_below if isinstance(sampling, ClipSampling) else 0.0

    def encode(clips: Images | Samples) -> Features:
        features: Features = encoder.encode_clips(torch.from_numpy(clips).to(device)).half().cpu().numpy()
        return features

    for clips in iter_stream_clips(
        path, sampling, duration_s=duration_s, num_threads=num_threads, has_sound=bool(video.has_audio)
    ):
        report(sum(map(len, parts)) / num_clips)
        parts.append(encode_distinct(clips, reuse_below, encode) if reuse_below else encode(clips))
        report(sum(map(len, parts)) / num_clips)
    features: Features = np.concatenate(parts)
    if not np.isfinite(features).all():
        raise ValueError(f"video {video.video_id!r}: a feature is not a finite float16; pretrain with a lower learning_rate")
    return features


def extract(
    videos: Sequence[Video],
    *,
    videos_per_shard: int,
    encoder_dir: Path,
    media_dir: Path,
    out_dir: Path,
    cache_dir: Path,
    budget: Budget | None = None,
) -> dict[str, StreamReport]:
    """Write the feature store of the videos and report on each stream.

    Cached shards are copied; worker processes make the others.

    Raises:
        ValueError: when there is no video, or naming the videos that cannot be decoded; finished shards stay in the cache.
    """
    if not videos:
        raise ValueError("the corpus has no videos; see data/corpus/ and run: dvc repro ingest")
    encoders = load_encoders(encoder_dir)
    if not encoders.streams:
        raise ValueError(f"{encoder_dir} holds no encoder of a stream; run: dvc repro --force pretrain")
    shards_dir, entries, reports = cache_dir / "shards", dict[str, StreamEntry](), dict[str, StreamReport]()
    for name, stream in encoders.streams.items():
        start = time.monotonic()
        fingerprint = Fingerprint(stream.fingerprint.identity, environment={"decoder": decoder_version()})
        jobs = plan_shards(videos, videos_per_shard, shards_dir / name / _hash_inputs(fingerprint, stream))
        missing = [job for job in jobs if not is_finished(job.path)]
        _make_shards(name, missing, encoder_dir=encoder_dir, media_dir=media_dir, budget=budget)
        entries[name] = StreamEntry(fingerprint, stream.params.sampling.clip_rate_hz, _publish(jobs, out_dir / name))
        remove_others(jobs)
        num_clips = sum(sum(shard.num_clips.values()) for shard in entries[name].shards)
        num_new_videos = sum(len(job.videos) for job in missing)
        reports[name] = StreamReport(len(videos), num_clips, num_new_videos, time.monotonic() - start)
    save_index(out_dir, entries)
    remove_all_but(shards_dir, {shards_dir / name for name in encoders.streams})
    return reports


def _publish(jobs: Sequence[ShardJob], folder: Path) -> list[Shard]:
    """Copy the finished shards of a stream to its folder of the store."""
    return [publish_shard(job.path, folder / f"shard-{number:03d}.safetensors") for number, job in enumerate(jobs)]


def _make_shards(stream: str, jobs: Sequence[ShardJob], *, encoder_dir: Path, media_dir: Path, budget: Budget | None) -> None:
    """Encode the videos of all shards, and write each shard as soon as its last video is done."""
    videos = {video.locate(media_dir): video for job in jobs for video in job.videos}
    shards = {video.video_id: job for job in jobs for video in job.videos}
    done: dict[str, Features] = {}
    num_threads = max(1, count_workers() // max(1, len(videos)))
    work = _VideoWork(stream, videos, media_dir, encoder_dir, num_threads=num_threads)
    with tqdm(total=len(videos), desc=f"extract {stream}", unit="video", disable=not jobs) as bar:
        for path, features in decode_videos(work, list(videos), budget=budget):
            video_id = videos[path].video_id
            done[video_id] = features
            job = shards[video_id]
            if all(video.video_id in done for video in job.videos):
                save_cached({video.video_id: done.pop(video.video_id) for video in job.videos}, job.path)
            bar.update()


@dataclass(frozen=True, slots=True)
class _VideoWork:
    """Task of a worker process: encodes the video of a file."""

    stream: str
    videos: Mapping[Path, Video]
    media_dir: Path
    encoder_dir: Path
    num_threads: int  # of the decoder; more than one if there are fewer videos than workers

    def __call__(self, path: Path, report: Report) -> Features:
        encoder = _load_encoder(self.encoder_dir, self.stream)
        video, device = self.videos[path], choose_device()
        return encode_video(video, self.media_dir, encoder, device=device, num_threads=self.num_threads, report=report)


@functools.cache
def _load_encoder(encoder_dir: Path, stream: str) -> ClipEncoder:
    """Load the encoder once per worker process, on the device of this machine."""
    prepare_torch(1)
    return load_encoders(encoder_dir).streams[stream].encoder.to(choose_device())


def _hash_inputs(fingerprint: Fingerprint, stream: StreamEncoder) -> str:
    """Return the hash of everything, besides its videos, that a shard depends on; it covers the code."""
    return sha256_json([fingerprint.to_json(), hash_code(extract, type(stream.params))])[:16]

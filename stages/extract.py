"""DVC stage `extract`: videos and data/encoder/, or feature files -> data/features/ (packed, fingerprinted shards)."""

import functools
import inspect
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from corpus.files import read_json, sha256_file, sha256_json, write_file, write_json
from corpus.isolation import Budget, Report
from corpus.media import compute_clip_times, decoder_version, hash_code, iter_clips
from corpus.records import Video, load_corpus
from corpus.store import Fingerprint, Shard, choose_shard, save_index, save_shard
from models.exchange.encoder_files import load_encoders
from models.exchange.roles import VideoEncoder
from stages.support import paths
from stages.support.components import load_features
from stages.support.decoding import decode_videos
from stages.support.entry import run_stage
from stages.support.feature_packing import pack_features
from stages.support.machine import count_workers, prepare_torch
from stages.support.params import load_params

Features = NDArray[np.float16]

_CLIPS_PER_BATCH = 64


class ShardJob(NamedTuple):
    """One shard to make: its videos and its place in the cache."""

    videos: tuple[Video, ...]
    path: Path


class ExtractReport(NamedTuple):
    """What one run of the stage did."""

    num_videos: int
    num_clips: int
    num_new_videos: int  # whose shards were not in the cache
    seconds: float


def count_shards(num_videos: int, videos_per_shard: int) -> int:
    """Return a power of two, so that one more video rarely moves the others to new shards."""
    return 1 << (-(-num_videos // videos_per_shard) - 1).bit_length()


def group_videos(videos: Sequence[Video], videos_per_shard: int) -> list[tuple[Video, ...]]:
    """Deal the videos to shards by their ids; shards without videos are left out."""
    num_shards = count_shards(len(videos), videos_per_shard)
    shards: list[list[Video]] = [[] for _ in range(num_shards)]
    for video in sorted(videos, key=lambda video: video.video_id):
        shards[choose_shard(video.video_id, num_shards)].append(video)
    return [tuple(shard) for shard in shards if shard]


@torch.inference_mode()
def encode_video(
    video: Video, media_dir: Path, encoder: VideoEncoder, *, num_threads: int = 1, report: Report = lambda share: None
) -> Features:
    """Decode and encode a video batch by batch: (S, P, D) float16. `report` is called with the share that is done.

    Raises:
        UndecodableError: naming the file and why it cannot be decoded.
        ValueError: when a feature does not fit into float16.
    """
    path, duration_s = media_dir / video.path, video.duration_s
    num_clips, parts = len(compute_clip_times(duration_s, encoder.sampling)), list[Features]()
    for clips in iter_clips(
        path, encoder.sampling, duration_s=duration_s, clips_per_batch=_CLIPS_PER_BATCH, num_threads=num_threads
    ):
        report(len(parts) * _CLIPS_PER_BATCH / num_clips)
        parts.append(encoder(torch.from_numpy(clips.reshape(1, -1, *clips.shape[2:])))[0].half().numpy())
        report(len(parts) * _CLIPS_PER_BATCH / num_clips)
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
) -> ExtractReport:
    """Write the feature store of the videos; shards that the cache holds are copied, the others made in worker processes.

    Raises:
        ValueError: when there is no video, or naming those that cannot be decoded; finished shards stay in the cache.
    """
    if not videos:
        raise ValueError("the corpus has no videos; see data/corpus/ and run: dvc repro ingest")
    start = time.monotonic()
    encoders = load_encoders(encoder_dir)
    if encoders.video is None or encoders.fingerprint is None:
        raise ValueError(f"{encoder_dir} holds no video encoder; run: dvc repro --force pretrain")
    fingerprint = Fingerprint(identity=encoders.fingerprint.identity, environment={"decoder": decoder_version()})
    folder = cache_dir / "shards" / _hash_inputs(fingerprint, encoders.video)
    jobs = [ShardJob(part, _cached_path(folder, part)) for part in group_videos(videos, videos_per_shard)]
    missing = [job for job in jobs if not _is_finished(job.path)]
    _make_shards(missing, encoder_dir=encoder_dir, media_dir=media_dir, budget=budget)
    shards = [_publish(job.path, out_dir / f"shard-{number:03d}.safetensors") for number, job in enumerate(jobs)]
    save_index(out_dir, fingerprint=fingerprint, clip_rate_hz=encoders.video.sampling.clip_rate_hz, shards=shards)
    _remove_others(folder, jobs)
    num_clips = sum(sum(shard.num_clips.values()) for shard in shards)
    return ExtractReport(len(videos), num_clips, sum(len(job.videos) for job in missing), time.monotonic() - start)


def _make_shards(jobs: Sequence[ShardJob], *, encoder_dir: Path, media_dir: Path, budget: Budget | None) -> None:
    """Encode the videos of all shards, and write each shard as soon as its last video is done."""
    videos = {media_dir / video.path: video for job in jobs for video in job.videos}
    shards = {video.video_id: job for job in jobs for video in job.videos}
    done: dict[str, Features] = {}
    work = _VideoWork(videos, media_dir, encoder_dir, num_threads=max(1, count_workers() // max(1, len(videos))))
    with tqdm(total=len(videos), desc="extract", unit="video", disable=not jobs) as bar:
        for path, features in decode_videos(work, list(videos), budget=budget):
            video_id = videos[path].video_id
            done[video_id] = features
            job = shards[video_id]
            if all(video.video_id in done for video in job.videos):
                _save_shard({video.video_id: done.pop(video.video_id) for video in job.videos}, job.path)
            bar.update()


def _save_shard(features: Mapping[str, Features], path: Path) -> None:
    """Write one shard, then its index entry beside it: a shard with an entry is finished."""
    write_json(_entry_path(path), asdict(save_shard(features, path)))


@dataclass(frozen=True, slots=True)
class _VideoWork:
    """What a worker process does with a file."""

    videos: Mapping[Path, Video]
    media_dir: Path
    encoder_dir: Path
    num_threads: int  # of the decoder: where there are fewer videos than workers

    def __call__(self, path: Path, report: Report) -> Features:
        encoder = _load_video_encoder(self.encoder_dir)
        return encode_video(self.videos[path], self.media_dir, encoder, num_threads=self.num_threads, report=report)


@functools.cache
def _load_video_encoder(encoder_dir: Path) -> VideoEncoder:
    """Load the encoder once per worker process."""
    prepare_torch(1)
    video = load_encoders(encoder_dir).video
    assert video is not None  # `extract` has looked
    return video


def _hash_inputs(fingerprint: Fingerprint, encoder: VideoEncoder) -> str:
    """Name what every shard depends on beside its videos, the source of the code too: a cached shard never meets other code."""
    sources = [sha256_file(Path(inspect.getfile(type(encoder)))), hash_code()]
    return sha256_json([fingerprint.to_json(), sources])[:16]


def _cached_path(folder: Path, videos: Sequence[Video]) -> Path:
    key = sha256_json([[video.video_id, video.sha256, video.duration_s] for video in videos])
    return folder / f"{key[:32]}.safetensors"


def _entry_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _is_finished(path: Path) -> bool:
    """Trust a cached shard only when its bytes are the ones that were written."""
    entry = _entry_path(path)
    return entry.is_file() and path.is_file() and sha256_file(path) == read_json(entry)["sha256"]


def _publish(cached: Path, target: Path) -> Shard:
    with cached.open("rb") as source:
        write_file(target, lambda file: shutil.copyfileobj(source, file))
    entry = read_json(_entry_path(cached))
    return Shard(target.name, entry["sha256"], entry["num_clips"])


def _remove_others(folder: Path, jobs: Sequence[ShardJob]) -> None:
    """Keep in the cache what this run used: it saves the next run all shards whose videos did not change."""
    kept = {path for job in jobs for path in (job.path, _entry_path(job.path))}
    for path in folder.parent.iterdir():
        if path != folder:
            shutil.rmtree(path)
    for path in set(folder.iterdir()) - kept:
        path.unlink()


def main() -> None:
    """Read params and paths, extract, and print the throughput."""
    params = load_params()
    videos, root, videos_per_shard = (
        load_corpus(paths.CORPUS).videos,
        paths.RAW / params.corpus.name,
        params.extract.videos_per_shard,
    )
    files = load_features(params.corpus.features)
    if files.streams:
        num_clips = pack_features(group_videos(videos, videos_per_shard), root=root, files=files, out_dir=paths.FEATURES)
        print(f"extract: {num_clips} clips of {len(videos)} videos from files ({params.corpus.features})")
        return
    report = extract(
        videos,
        videos_per_shard=videos_per_shard,
        encoder_dir=paths.ENCODER,
        media_dir=root,
        out_dir=paths.FEATURES,
        cache_dir=paths.find_cache_dir(),
    )
    new = f"{report.num_new_videos} of {report.num_videos} videos decoded and encoded"
    rate = report.num_new_videos / report.seconds
    print(f"extract: {report.num_clips} clips; {new} in {report.seconds:.1f} s ({rate:.1f} videos/s, {count_workers()} workers)")


if __name__ == "__main__":
    run_stage(main, name="extract")

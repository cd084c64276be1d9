"""Indexes a folder of videos that have no annotations, with the networks of a bundle.

The output folder holds the collection and, in `encoded/`, what was made of each file, by its content: a run that is
interrupted goes on where it was, and a run with nothing new writes nothing.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from corpus.isolation import Budget, Failure, Progress, run_isolated
from corpus.media import decoder_version
from corpus.store import Fingerprint
from serving.bundle import Bundle, load_bundle
from serving.collection import CollectionEntry, IndexedVideo, load_collection, save_collection
from serving.encode_work import EncodeWork, HashedFile, KeepWork, hash_file
from serving.folder import LeftOut, VideoFile, find_videos
from serving.video_cache import VideoCache

_LOCK, _ENCODED = ".lock", "encoded"
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} videos [{elapsed}<{remaining}]"


class FolderReport(NamedTuple):
    """What one run did. `left_out` names what has a video's name and is not in the index."""

    num_videos: int
    num_clips: int
    num_encoded: int  # in this run
    left_out: tuple[LeftOut, ...]


class NoReadableVideoError(ValueError):
    """No video of a folder can be indexed; `left_out` says why."""

    def __init__(self, message: str, left_out: Sequence[LeftOut]) -> None:
        super().__init__(message)
        self.left_out = tuple(left_out)


def index_folder(
    folder: Path, *, bundle_dir: Path, output_dir: Path, num_workers: int, budget: Budget | None = None
) -> FolderReport:
    """Index the videos of a folder.

    Raises:
        NoReadableVideoError: when no video can be indexed; an index that exists stays as it is.
        ValueError: when a folder cannot be used, or the bundle is damaged or cannot encode videos.
        OSError: when the bundle is missing or the output cannot be written.
    """
    folder, output_dir = Path(os.path.abspath(folder)), Path(os.path.abspath(output_dir))
    bundle = load_bundle(bundle_dir)
    bundle.manifest.require_sampling()
    videos, left_out = find_videos(folder)
    if not videos and not left_out:
        raise ValueError(f"{folder} holds no videos; put files such as NAME.mp4 into it or into its sub-folders")
    with _own(output_dir, folder):
        cache = VideoCache(output_dir / _ENCODED, bundle.manifest)
        files, reasons = _hash_files(videos, num_workers)
        work = EncodeWork(bundle_dir.absolute(), bundle.version, files)
        missing = _list_missing(files, cache)
        failed = _encode(missing, work, cache, num_workers=num_workers, budget=budget or Budget())
        reasons |= {
            path: reason for path, file in files.items() if (reason := failed.get(file.sha256) or cache.find_reason(file.sha256))
        }
        entries = [_load_entry(video, files[video.path], cache) for video in videos if video.path not in reasons]
        left_out += tuple(LeftOut(video.video_id, reasons[video.path]) for video in videos if video.path in reasons)
        if not entries:
            raise NoReadableVideoError(f"no video of {folder} can be indexed", left_out)
        num_clips = _publish(entries, bundle, folder, output_dir)
        cache.remove_others({file.sha256 for file in files.values()})
    return FolderReport(len(entries), num_clips, len(missing) - len(failed), left_out)


@contextmanager
def _own(output_dir: Path, folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder; its file also marks the folder as one of ours."""
    is_foreign = output_dir.is_dir() and any(output_dir.iterdir()) and not (output_dir / _LOCK).is_file()
    if is_foreign or output_dir == folder:
        raise ValueError(f"{output_dir} holds other files than an index; choose another --output")
    output_dir.mkdir(parents=True, exist_ok=True)
    with (output_dir / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another process is writing {output_dir}; wait until it has ended") from error
        yield


def _hash_files(videos: Sequence[VideoFile], num_workers: int) -> tuple[dict[Path, HashedFile], dict[Path, str]]:
    """Return the hashed files by path, and the reasons of those that cannot be read."""

    def hash_one(path: Path) -> HashedFile | str:
        try:
            return hash_file(path)
        except OSError as error:
            return f"it cannot be read: {error.strerror}"

    paths = [video.path for video in videos]
    with ThreadPoolExecutor(num_workers) as pool:
        hashed = pool.map(hash_one, paths)
        found = dict(zip(paths, tqdm(hashed, total=len(paths), desc="read", unit="video", disable=None), strict=True))
    files = {path: file for path, file in found.items() if isinstance(file, HashedFile)}
    return files, {path: reason for path, reason in found.items() if isinstance(reason, str)}


def _list_missing(files: Mapping[Path, HashedFile], cache: VideoCache) -> list[Path]:
    """Return one path of each content of which nothing is known yet."""
    paths = {file.sha256: path for path, file in reversed(list(files.items()))}  # the first of equal files
    return sorted(path for sha256, path in paths.items() if not cache.find_reason(sha256) and cache.load(sha256) is None)


def _encode(paths: Sequence[Path], work: EncodeWork, cache: VideoCache, *, num_workers: int, budget: Budget) -> dict[str, str]:
    """Let worker processes encode files into the cache; return the reasons of those that failed, by their content."""
    failed: dict[str, str] = {}
    shares = dict.fromkeys(paths, 0.0)
    with tqdm(total=len(paths), desc="encode", bar_format=_BAR, disable=None if paths else True) as bar:
        for event in run_isolated(KeepWork(work, cache), paths, num_workers=num_workers, budget=budget):
            sha256 = work.files[event.path].sha256
            if isinstance(event, Failure):
                failed[sha256] = event.reason
                if event.is_final:
                    cache.save_reason(sha256, event.reason)
            share = event.share if isinstance(event, Progress) else 1.0
            bar.update(share - shares[event.path])
            shares[event.path] = share
    return failed


def _load_entry(video: VideoFile, file: HashedFile, cache: VideoCache) -> CollectionEntry:
    encoded = cache.load(file.sha256)
    if encoded is None:
        raise OSError(f"what was encoded of {video.path} is gone; run the command again")
    return CollectionEntry(IndexedVideo(video.video_id, video.video_id, encoded.duration_s, "", file.sha256), encoded)


def _publish(entries: Sequence[CollectionEntry], bundle: Bundle, folder: Path, output_dir: Path) -> int:
    """Write the collection unless the one that is there says the same; return its number of clips."""
    if _is_published(entries, bundle, folder, output_dir):
        return sum(len(entry.encoded.vectors) for entry in entries)
    fingerprint = Fingerprint(bundle.manifest.fingerprint.identity, {"decoder": decoder_version()})
    return save_collection(
        output_dir, entries, manifest=bundle.manifest, fingerprint=fingerprint, corpus=folder.name, media_dir=folder
    )


def _is_published(entries: Sequence[CollectionEntry], bundle: Bundle, folder: Path, output_dir: Path) -> bool:
    try:
        published = load_collection(output_dir, bundle.manifest)
    except (ValueError, OSError):  # missing, damaged, or of another bundle
        return False
    return (
        published.media_dir == folder
        and list(published.videos.values()) == [entry.video for entry in entries]
        and all(np.array_equal(published.cells[video.video_id], encoded.cells) for video, encoded in entries)
    )

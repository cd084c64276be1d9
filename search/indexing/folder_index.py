"""Indexes a folder of videos that have no annotations, with the networks of a bundle.

The output folder holds the collection and, in `encoded/`, the encoding of each file, named by its content. An interrupted run
resumes, and a run without new files writes nothing.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from corpus.isolation import Budget, Failure, Progress, run_isolated
from corpus.video_files import PassedOver, describe_passed_over
from search.contracts import EncodedVideos, Entry, SearchBundle
from search.indexed_video import IndexedVideo
from search.indexing.encode_work import EncodeWork, HashedFile, KeepWork, hash_file
from search.indexing.folder_videos import LeftOut, VideoFile, find_videos
from search.kinds import find_kind, open_bundle, open_cache

_LOCK, _ENCODED = ".lock", "encoded"
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} videos [{elapsed}<{remaining}]"


class Note(NamedTuple):
    """A repaired or omitted part of an indexed video."""

    video_id: str
    text: str


class FolderReport(NamedTuple):
    """Result of one run. `left_out` names videos that are not in the index, `passed_over` files that are not videos."""

    num_videos: int
    num_clips: int
    num_encoded: int  # in this run
    left_out: tuple[LeftOut, ...]
    notes: tuple[Note, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()


class NoReadableVideoError(ValueError):
    """No video of a folder can be indexed; `left_out` gives the reasons."""

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
    bundle = open_bundle(bundle_dir)
    bundle.require_encoder()
    videos, left_out, passed_over = find_videos(folder)
    if not videos and not left_out:
        seen = f" ({describe_passed_over(passed_over)})" if passed_over else ""
        raise ValueError(f"{folder} holds no videos{seen}; put files such as NAME.mp4 into it or into its sub-folders")
    with _own(output_dir, folder):
        cache = open_cache(output_dir / _ENCODED, bundle)
        files, reasons = _hash_files(videos, num_workers)
        missing = _list_missing(files, cache)
        work = EncodeWork(bundle_dir.absolute(), bundle.version, files, num_threads=_share_threads(num_workers, len(missing)))
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
    notes = tuple(Note(entry.video.video_id, text) for entry in entries for text in entry.encoded.notes)
    return FolderReport(len(entries), num_clips, len(missing) - len(failed), left_out, notes, passed_over)


@contextmanager
def _own(output_dir: Path, folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder. The lock file also marks the folder as an index."""
    is_foreign = output_dir.is_dir() and any(output_dir.iterdir()) and not (output_dir / _LOCK).is_file()
    if is_foreign or output_dir == folder:
        raise ValueError(f"{output_dir} holds files that belong to no index; choose another --output")
    output_dir.mkdir(parents=True, exist_ok=True)
    with (output_dir / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another process is writing {output_dir}; wait until it has ended") from error
        yield


def _hash_files(videos: Sequence[VideoFile], num_workers: int) -> tuple[dict[Path, HashedFile], dict[Path, str]]:
    """Return the hashed files by path, and the reasons of unreadable files by path."""

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


def _list_missing(files: Mapping[Path, HashedFile], cache: EncodedVideos) -> list[Path]:
    """Return one path for each content that the cache lacks."""
    paths = {file.sha256: path for path, file in reversed(list(files.items()))}  # the first of equal files
    return sorted(path for sha256, path in paths.items() if not cache.find_reason(sha256) and cache.load(sha256) is None)


def _encode(paths: Sequence[Path], work: EncodeWork, cache: EncodedVideos, *, num_workers: int, budget: Budget) -> dict[str, str]:
    """Let worker processes encode files into the cache; return the reasons of failures, by content."""
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


def _share_threads(num_workers: int, num_files: int) -> int:
    """Return the threads of each process: fewer files than processes share the cores of all."""
    return max(1, num_workers // max(1, min(num_workers, num_files)))


def _load_entry(video: VideoFile, file: HashedFile, cache: EncodedVideos) -> Entry:
    encoded = cache.load(file.sha256)
    if encoded is None:
        raise OSError(f"the encoding of {video.path} was deleted from the cache; run the command again")
    indexed = IndexedVideo(video.video_id, video.relative, encoded.duration_s, "", file.sha256, not encoded.notes)
    return Entry(indexed, encoded)


def _publish(entries: Sequence[Entry], bundle: SearchBundle, folder: Path, output_dir: Path) -> int:
    """Write the collection unless an equal one exists; return its number of clips."""
    if _is_published(entries, bundle, folder, output_dir):
        return sum(entry.encoded.num_clips for entry in entries)
    return find_kind(bundle.folder).save(output_dir, entries, bundle, folder)


def _is_published(entries: Sequence[Entry], bundle: SearchBundle, folder: Path, output_dir: Path) -> bool:
    kind = find_kind(bundle.folder)
    try:
        published = kind.load(output_dir, bundle)
    except (ValueError, OSError):  # missing, damaged, or of another bundle
        return False
    return (
        published.media_dir == folder
        and list(published.videos.values()) == [entry.video for entry in entries]
        and all(kind.holds(published, entry) for entry in entries)
    )

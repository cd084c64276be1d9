"""Thumbnails of an indexed folder, kept beside the index for the cards of the search page."""

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from corpus.files import read_json, write_bytes
from corpus.isolation import Budget, Failure, Report, Success, Work, run_isolated
from corpus.media import UndecodableError
from corpus.media.pictures.thumbnails import draw_thumbnails, name_thumbnail_folder, write_thumbnails
from search.collection import VIDEOS, read_index
from search.indexing.folder_videos import LeftOut

THUMBNAILS = "thumbnails"  # folder of an index
PER_VIDEO = 6
_SOURCE = "sha256"  # hash of the file that the thumbnails show


class ThumbnailReport(NamedTuple):
    """Result of one run: the number of videos whose thumbnails were written, and the videos that have none."""

    num_written: int
    left_out: tuple[LeftOut, ...]


def draw_file(path: Path, report: Report) -> list[bytes]:
    """Return the JPEG of the thumbnails of a video.

    Raises:
        ValueError: saying why it cannot be decoded.
        OSError: when it cannot be read.
    """
    try:
        return list(draw_thumbnails(path, count=PER_VIDEO))
    except UndecodableError as error:
        raise ValueError(error.reason) from error


def update_thumbnails(
    index_dir: Path,
    *,
    num_workers: int | None = None,
    draw: Work[Sequence[bytes]] = draw_file,
    budget: Budget | None = None,
) -> ThumbnailReport:
    """Write the thumbnails of new and changed videos of a folder's index, and delete those of others.

    `draw` runs in child processes: a file that crashes or stalls the decoder has no thumbnails, and the next run tries it
    again. So does a file that vanished meanwhile.

    Raises:
        OSError: when a thumbnail cannot be written.
    """
    index = read_index(index_dir)
    videos: list[dict[str, Any]] = read_json(index_dir / index["folder"] / VIDEOS)
    folder, media_dir = index_dir / THUMBNAILS, Path(index["media_dir"])
    named = {folder / name_thumbnail_folder(video["video_id"]): video for video in videos}
    _remove_others(folder, named)
    missing = {media_dir / video["path"]: (place, video) for place, video in named.items() if not _is_current(place, video)}
    left_out: list[LeftOut] = []
    num_workers = num_workers or os.cpu_count() or 1
    with tqdm(total=len(missing), desc="thumbnails", unit="video", disable=None if missing else True) as bar:
        for event in run_isolated(draw, list(missing), num_workers=num_workers, budget=budget or Budget()):
            place, video = missing[event.path]
            if isinstance(event, Success):
                _save(place, video, event.value)
            elif isinstance(event, Failure):
                shutil.rmtree(place, ignore_errors=True)
                left_out.append(LeftOut(video["video_id"], event.reason))
            bar.update(isinstance(event, Success | Failure))
    return ThumbnailReport(len(missing) - len(left_out), tuple(sorted(left_out)))


def _save(place: Path, video: Mapping[str, Any], thumbnails: Sequence[bytes]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    write_thumbnails(thumbnails, place)
    write_bytes(place / _SOURCE, str(video["sha256"]).encode())


def _is_current(place: Path, video: Mapping[str, Any]) -> bool:
    source = place / _SOURCE
    return source.is_file() and source.read_text(encoding="utf-8") == video["sha256"]


def _remove_others(folder: Path, kept: Collection[Path]) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in kept:
            shutil.rmtree(path)

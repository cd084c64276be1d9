"""Thumbnails of an indexed folder, kept beside the index for the cards of the search page."""

import os
import shutil
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from corpus.files import read_json, write_bytes
from corpus.media import UndecodableError
from corpus.media.pictures.thumbnails import name_thumbnail_folder, save_thumbnails
from search.collection import VIDEOS, read_index

THUMBNAILS = "thumbnails"  # folder of an index
PER_VIDEO = 6
_SOURCE = "sha256"  # hash of the file that the thumbnails show


def update_thumbnails(index_dir: Path, *, num_threads: int | None = None) -> int:
    """Write the thumbnails of new and changed videos of a folder's index, and delete those of others.

    Return the number of videos whose thumbnails were written. A file that vanished meanwhile has no thumbnails.

    Raises:
        OSError: when a thumbnail cannot be written.
    """
    index = read_index(index_dir)
    videos: list[dict[str, Any]] = read_json(index_dir / index["folder"] / VIDEOS)
    folder = index_dir / THUMBNAILS
    named = {folder / name_thumbnail_folder(video["video_id"]): video for video in videos}
    _remove_others(folder, named)
    missing = [(place, video) for place, video in named.items() if not _is_current(place, video)]
    media_dir = Path(index["media_dir"])
    with ThreadPoolExecutor(num_threads or os.cpu_count()) as pool:
        done = pool.map(lambda one: _save(media_dir / one[1]["path"], *one), missing)
        return sum(tqdm(done, total=len(missing), desc="thumbnails", unit="video", disable=None if missing else True))


def _save(path: Path, place: Path, video: dict[str, Any]) -> bool:
    shutil.rmtree(place, ignore_errors=True)
    try:
        save_thumbnails(path, place, count=PER_VIDEO)
    except (UndecodableError, FileNotFoundError):  # changed since it was indexed; the next index names it
        return False
    write_bytes(place / _SOURCE, str(video["sha256"]).encode())
    return True


def _is_current(place: Path, video: dict[str, Any]) -> bool:
    source = place / _SOURCE
    return source.is_file() and source.read_text(encoding="utf-8") == video["sha256"]


def _remove_others(folder: Path, kept: Collection[Path]) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in kept:
            shutil.rmtree(path)

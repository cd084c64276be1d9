"""Thumbnails of every video, for a service without the videos themselves."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from corpus.isolation import Report
from corpus.media.pictures.thumbnails import name_thumbnail_folder, save_thumbnails
from pipeline.executors.decoding import decode_videos
from search.indexed_video import IndexedVideo


def save_all_thumbnails(videos: Sequence[IndexedVideo], media_dir: Path, folder: Path, *, per_video: int) -> int:
    """Write `per_video` JPEG files for each video and return their number.

    Videos with features only have no thumbnails.

    Raises:
        ValueError: naming the videos that cannot be decoded, after the others are done.
    """
    files = {media_dir / video.path: video for video in videos if video.path}
    folder.mkdir(parents=True, exist_ok=True)
    if per_video == 0:
        return 0
    done = decode_videos(partial(_draw, videos=files, folder=folder, count=per_video), list(files))
    return sum(count for _, count in tqdm(done, total=len(files), desc="thumbnails", unit="video", disable=None))


def _draw(path: Path, report: Report, *, videos: Mapping[Path, IndexedVideo], folder: Path, count: int) -> int:
    """Write the thumbnails of one video and return their number."""
    save_thumbnails(path, folder / name_thumbnail_folder(videos[path].video_id), count=count)
    return count

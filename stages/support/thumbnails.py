"""Small pictures of every video, for the service where the videos themselves are not."""

import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from corpus.files import write_bytes
from corpus.isolation import Report
from corpus.media import read_frames
from serving.collection import IndexedVideo
from serving.media import name_thumbnail_folder
from stages.support.decoding import decode_videos

WIDTH_PX = 160
JPEG_QUALITY = 80


def save_thumbnails(videos: Sequence[IndexedVideo], media_dir: Path, folder: Path, *, per_video: int) -> int:
    """Write `per_video` JPEG files for each video, at the middles of equal parts; return how many were written.

    Videos of which there are only features have none.

    Raises:
        ValueError: naming the videos that cannot be decoded, when the others are done.
    """
    files = {media_dir / video.path: video for video in videos if video.path}
    folder.mkdir(parents=True, exist_ok=True)
    if per_video == 0:
        return 0
    done = decode_videos(partial(_draw, videos=files, folder=folder, count=per_video), list(files))
    return sum(count for _, count in tqdm(done, total=len(files), desc="thumbnails", unit="video", disable=None))


def _draw(path: Path, report: Report, *, videos: Mapping[Path, IndexedVideo], folder: Path, count: int) -> int:
    """Write the thumbnails of one video and return their number."""
    video = videos[path]
    times_s = (np.arange(count) + 0.5) * video.duration_s / count
    for number, image in enumerate(read_frames(path, times_s, WIDTH_PX)):
        content = io.BytesIO()
        Image.fromarray(image).save(content, format="JPEG", quality=JPEG_QUALITY)
        write_bytes(folder / name_thumbnail_folder(video.video_id) / f"{number}.jpg", content.getvalue())
    return count

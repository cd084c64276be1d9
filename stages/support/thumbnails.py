"""Small pictures of every video, for the service where the videos themselves are not."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from corpus.files import write_bytes
from corpus.media import read_frames
from serving.collection import IndexedVideo
from serving.media import name_thumbnail_folder
from stages.support.machine import map_in_processes

WIDTH_PX = 160
JPEG_QUALITY = 80


def save_thumbnails(videos: Sequence[IndexedVideo], media_dir: Path, folder: Path, *, per_video: int) -> int:
    """Write `per_video` JPEG files for each video, at the middles of equal parts; return how many were written.

    Videos of which there are only features have none.
    """
    videos = [video for video in videos if video.path]
    folder.mkdir(parents=True, exist_ok=True)
    if per_video == 0 or not videos:
        return 0
    draw = partial(draw_thumbnails, media_dir=media_dir, folder=folder, count=per_video)
    done = map_in_processes(draw, videos, what="thumbnails")
    return sum(tqdm(done, total=len(videos), desc="thumbnails", unit="video", disable=None))


def draw_thumbnails(video: IndexedVideo, *, media_dir: Path, folder: Path, count: int) -> int:
    """Write the thumbnails of one video and return their number."""
    times_s = (np.arange(count) + 0.5) * video.duration_s / count
    images = read_frames(media_dir / video.path, times_s, WIDTH_PX)
    for number, image in enumerate(images):
        content = io.BytesIO()
        Image.fromarray(image).save(content, format="JPEG", quality=JPEG_QUALITY)
        write_bytes(folder / name_thumbnail_folder(video.video_id) / f"{number}.jpg", content.getvalue())
    return len(images)

"""Small pictures of a video, at the middles of equal parts of its time."""

import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from corpus.files import write_bytes
from corpus.media import probe, read_frames

MAX_SIDE_PX = 256
JPEG_QUALITY = 80


def name_thumbnail_folder(video_id: str) -> str:
    """Return the folder of a video's thumbnails: a name that is safe for any id."""
    safe = "".join(character if character.isalnum() and character.isascii() else "_" for character in video_id)
    return f"{safe[:48]}-{zlib.crc32(video_id.encode()):08x}"


def save_thumbnails(path: Path, folder: Path, *, count: int) -> None:
    """Write `count` JPEG files, `0.jpg` first, in the proportions of the video.

    Raises:
        UndecodableError: naming the file and why it cannot be decoded.
        OSError: when a file cannot be read or written.
    """
    info = probe(path)
    scale = min(1.0, MAX_SIDE_PX / max(info.width, info.height))
    size = max(1, round(info.width * scale)), max(1, round(info.height * scale))
    times_s = (np.arange(count) + 0.5) * info.duration_s / count
    for number, square in enumerate(read_frames(path, times_s, max(size))):
        content = io.BytesIO()
        Image.fromarray(square).resize(size).save(content, format="JPEG", quality=JPEG_QUALITY)
        write_bytes(folder / f"{number}.jpg", content.getvalue())

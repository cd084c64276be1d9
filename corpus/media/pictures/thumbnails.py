"""Thumbnails of a video, at the middles of equal parts of its duration."""

import io
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from corpus.files import write_bytes
from corpus.media import probe, read_frames, read_shown_size

MAX_SIDE_PX = 256
JPEG_QUALITY = 80


def name_thumbnail_folder(video_id: str) -> str:
    """Return the folder name for the thumbnails of a video, which is safe for any id."""
    safe = "".join(character if character.isalnum() and character.isascii() else "_" for character in video_id)
    return f"{safe[:48]}-{zlib.crc32(video_id.encode()):08x}"


def save_thumbnails(path: Path, folder: Path, *, count: int) -> None:
    """Write `count` JPEG files from `0.jpg` on, in the proportions that players show.

    Raises:
        UndecodableError: naming the file and why it cannot be decoded.
        OSError: when a file cannot be read or written.
    """
    write_thumbnails(draw_thumbnails(path, count=count), folder)


def write_thumbnails(thumbnails: Iterable[bytes], folder: Path) -> None:
    """Write thumbnails from `0.jpg` on.

    Raises:
        OSError: when a file cannot be written.
    """
    for number, content in enumerate(thumbnails):
        write_bytes(folder / f"{number}.jpg", content)


def draw_thumbnails(path: Path, *, count: int) -> Iterator[bytes]:
    """Yield the JPEG of `count` thumbnails, in the proportions that players show.

    Raises:
        UndecodableError: naming the file and why it cannot be decoded.
        OSError: when the file cannot be read.
    """
    shown = read_shown_size(path)
    scale = min(1.0, MAX_SIDE_PX / max(shown))
    size = max(1, round(shown.width * scale)), max(1, round(shown.height * scale))
    times_s = (np.arange(count) + 0.5) * probe(path).duration_s / count
    for square in read_frames(path, times_s, max(size)):
        content = io.BytesIO()
        Image.fromarray(square).resize(size).save(content, format="JPEG", quality=JPEG_QUALITY)
        yield content.getvalue()

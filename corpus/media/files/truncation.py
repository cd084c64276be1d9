"""Detection of truncated files: reads the size that a file states. A smaller file was cut off by a broken download or copy.

Matroska states the size of its segment, MP4 the size of every box. Live recordings state no size; other formats are not
checked.
"""

from pathlib import Path
from typing import BinaryIO

_SEGMENT = b"\x18\x53\x80\x67"
_HEAD_BYTES = 4096
_LONG_SIZE = 1  # box size of 1: the next 8 bytes hold the real size


def read_stated_size(path: Path, format_name: str) -> int:
    """Return the number of bytes that a file should have by its own structure, or 0 if it states none.

    `format_name` is FFmpeg's name of the format.
    """
    with path.open("rb") as file:
        if format_name == "matroska,webm":
            return _read_segment_end(file.read(_HEAD_BYTES))
        if format_name.startswith("mov,"):
            return _read_last_box_end(file)
    return 0


def _read_segment_end(head: bytes) -> int:
    """Return the end of the segment. Leading zeros in the first byte of its size give the length of the number."""
    start = head.find(_SEGMENT) + len(_SEGMENT)
    if start < len(_SEGMENT) or start >= len(head) or head[start] == 0:
        return 0
    num_bytes = 9 - head[start].bit_length()
    size = int.from_bytes(head[start : start + num_bytes], "big") & ((1 << 7 * num_bytes) - 1)
    is_unknown = size == (1 << 7 * num_bytes) - 1
    return 0 if is_unknown else start + num_bytes + size


def _read_last_box_end(file: BinaryIO) -> int:
    position = 0
    while len(head := file.read(16)) >= 8:  # noqa: PLR2004 # size and name
        size = int.from_bytes(head[:4], "big")
        if size == _LONG_SIZE:
            size = int.from_bytes(head[8:], "big")
        if size < 8:  # noqa: PLR2004 # 0: up to the end of the file
            return 0
        position += size
        file.seek(position)
    return position

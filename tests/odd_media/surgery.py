"""Changes of the bytes of video files."""

import struct
from pathlib import Path

import av

_FLV_HEADER_BYTES = 13


def replace_bytes(path: Path, old: bytes, new: bytes, *, count: int = -1) -> None:
    """Replace bytes by others of the same number."""
    assert len(old) == len(new)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, count))


def overwrite(path: Path, position: int, new: bytes) -> None:
    """Write bytes at a position."""
    content = bytearray(path.read_bytes())
    content[position : position + len(new)] = new
    path.write_bytes(content)


def spoil_packets(path: Path, numbers: list[int], *, kind: str = "video") -> None:
    """Overwrite packets of the first stream of a kind with bytes that its decoder refuses."""
    content = path.read_bytes()
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    position = 0
    for number, packet in enumerate(packets):
        position = content.index(packet, position)
        if number in numbers:
            overwrite(path, position, b"\xff" * len(packet))
        position += len(packet)


def join_files(path: Path, *parts: Path) -> None:
    """Write files one after the other, as `cat` does."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()


def join_flash_files(path: Path, *parts: Path) -> None:
    """Join files as a recorder does whose sender came back: the tags of all follow one header."""
    first, *others = (part.read_bytes() for part in parts)
    path.write_bytes(first + b"".join(other[_FLV_HEADER_BYTES:] for other in others))
    for part in parts:
        part.unlink()


def set_matroska_length(path: Path, length_s: float) -> None:
    """Let the header of a Matroska file claim a length."""
    content = path.read_bytes()
    at = content.index(b"\x44\x89\x88") + 3  # in ms, as a double
    overwrite(path, at, struct.pack(">d", 1000 * length_s))


def set_avi_frames(path: Path, num_frames: int) -> None:
    """Let the headers of an AVI file and of its first stream claim a number of frames."""
    content = path.read_bytes()
    overwrite(path, content.index(b"avih") + 8 + 16, struct.pack("<I", num_frames))
    overwrite(path, content.index(b"strh") + 8 + 32, struct.pack("<I", num_frames))


def interrupt_avi(path: Path) -> None:
    """Leave an AVI file as a recorder does that was stopped hard: without index, sizes and the number of frames."""
    content = path.read_bytes()
    content = bytearray(content[: content.rindex(b"idx1")])
    content[4:8] = b"\xff" * 4
    at = content.index(b"movi") - 4
    content[at : at + 4] = b"\xff" * 4
    at = content.index(b"avih") + 8 + 12
    content[at : at + 4] = bytes(4)  # no flag: there is no index
    path.write_bytes(content)
    set_avi_frames(path, 1 << 30)


def empty_samples(path: Path, numbers: list[int]) -> None:
    """Make samples of the first track of a .mov empty; what they held becomes a tail of the samples before them."""
    content = bytearray(path.read_bytes())
    at = content.index(b"stsz") + 4 + 12
    for number in numbers:
        before, here = struct.unpack_from(">II", content, at + 4 * (number - 1))
        struct.pack_into(">II", content, at + 4 * (number - 1), before + here, 0)
    path.write_bytes(content)

"""Opening video files: one stream of pictures, safely, and where its time 0 lies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

# Browsers play these by the file's own clock. FFmpeg's names of the formats.
_BROWSER_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "ogg"})
_MAX_PIXELS = 1 << 26  # of a frame: twice 8K; for what a header claims beyond this no memory is taken


class UndecodableError(ValueError):
    """A file that is no readable video, and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@contextmanager
def open_video(path: Path, *, num_threads: int = 1, discard_others: bool = True) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file at its first stream of pictures that is no cover; its other streams are not read.

    Raises:
        FileNotFoundError: naming a file that is not there.
        UndecodableError: when it cannot be opened, and for every error of the decoder within the block.
        MemoryError: when memory does not suffice, which says nothing about the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_file():
        raise UndecodableError(path, "it is no regular file")
    if path.stat().st_size == 0:
        raise UndecodableError(path, "the file is empty (0 bytes)")
    # An absolute path and this list keep a file from naming another protocol or host.
    options = {"protocol_whitelist": "file", "max_pixels": str(_MAX_PIXELS)}
    try:
        with av.open(str(path.resolve()), options=options) as container:
            stream = _find_stream(path, container)
            _require_size(path, stream)
            stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
            stream.codec_context.thread_count = num_threads
            if discard_others:
                for other in container.streams:
                    if other is not stream:
                        other.discard = Discard.all
            yield container, stream
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise UndecodableError(path, f"it cannot be decoded: {error.strerror}") from error


def _find_stream(path: Path, container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise UndecodableError(path, "it holds no video stream")


def _require_size(path: Path, stream: VideoStream) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > _MAX_PIXELS:
        raise UndecodableError(path, f"its header claims {width} x {height} pixels; at most {_MAX_PIXELS} are decoded")


def has_own_clock(container: InputContainer) -> bool:
    """Tell whether time 0 is that of the file's own clock, as in all formats that browsers play."""
    return container.format.name in _BROWSER_FORMATS


def find_origin_s(container: InputContainer, first_frame_s: float) -> float:
    """Return the time 0 of a file on the clock of its timestamps: what a browser calls `currentTime` 0.

    That is 0 on the file's own clock, or its first frame where that lies before; in the formats that browsers do not
    play, where clocks begin anywhere, the start of the earliest stream; in AVI, which has no clock, the first frame.
    """
    if has_own_clock(container):
        return min(0.0, first_frame_s)
    if container.start_time is None or container.format.name == "avi":
        return first_frame_s
    return min(float(container.start_time / av.time_base), first_frame_s)

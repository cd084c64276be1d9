"""Safe opening of video files: selects the stream of pictures and finds its time 0."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream

from corpus.media.files.errors import UndecodableError
from corpus.media.files.streams import find_pictures

# FFmpeg's names of the formats that browsers play by the clock of the file.
_BROWSER_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "ogg"})
_MAX_PIXELS = 1 << 26  # per frame, twice 8K; no memory is allocated for larger claims of a header


@contextmanager
def open_video(path: Path, *, num_threads: int = 1, discard_others: bool = True) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file at the stream of pictures of the main programme; other streams are not read.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: when the file cannot be opened, and for every decoder error within the block.
        MemoryError: when memory does not suffice; this is not a defect of the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_file():
        raise UndecodableError(path, "it is not a regular file")
    if path.stat().st_size == 0:
        raise UndecodableError(path, "the file is empty (0 bytes)")
    # An absolute path and this list prevent a file from opening other protocols or hosts.
    options = {"protocol_whitelist": "file", "max_pixels": str(_MAX_PIXELS)}
    try:
        with av.open(str(path.resolve()), options=options, metadata_errors="replace") as container:
            stream = find_pictures(path, container)
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


def _require_size(path: Path, stream: VideoStream) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > _MAX_PIXELS:
        raise UndecodableError(path, f"its header claims {width} x {height} pixels; at most {_MAX_PIXELS} are decoded")


def has_own_clock(container: InputContainer) -> bool:
    """Tell whether time 0 is time 0 of the file's own clock, as in all formats that browsers play."""
    return container.format.name in _BROWSER_FORMATS


def find_origin_s(container: InputContainer, first_frame_s: float) -> float:
    """Return time 0 of a file (`currentTime` 0 of a browser) on the clock of its timestamps.

    Formats that browsers play: 0 on the file's own clock, or the first frame if it lies before 0. Other formats, whose clocks
    begin anywhere: the start of the earliest stream. AVI, which has no clock: the first frame.
    """
    if has_own_clock(container):
        return min(0.0, first_frame_s)
    if container.start_time is None or container.format.name == "avi":
        return first_frame_s
    return min(float(container.start_time / av.time_base), first_frame_s)

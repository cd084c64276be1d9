"""Video files: probing, exact frames at given times, and the clips that encoders see. One path for training and serving.

Letters: T times, S clips of a video, K frames of a clip, H = W = `size_px`. Frames are uint8 RGB and upright.
Time 0 is the moment the first frame of the video stream is shown.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from corpus.params import Params

Images = NDArray[np.uint8]
Seconds = NDArray[np.float64]

_SAME_TIME_S = 1e-6  # a time this little before a frame's start counts as its start: sums of floats are not exact
_MAX_DAMAGED_SHARE = 0.01  # of the frames; a decoder hides damage, it does not stop at it
_MAX_MISSING_SHARE = 0.05  # of the duration that a header claims
_MAX_MISSING_S = 1.0


class UndecodableError(ValueError):
    """A file that is no readable video, and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class ClipSampling(Params):
    """Which frames make a clip: part of every encoder's schema and of the feature fingerprint.

    Clip i of a video is centred at (i + 0.5) / clip_rate_hz seconds.
    """

    clip_rate_hz: PositiveFloat  # clips per second
    offsets_s: tuple[float, ...] = Field(min_length=1)  # times of its K frames around the centre
    size_px: PositiveInt  # frames are squares of this size


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a video file says of itself. `rotation` is the clockwise turn in degrees that makes its frames upright.

    `width` and `height` are those of the upright frames; `duration_s` is the container's.
    """

    duration_s: float
    fps: float
    num_frames: int
    width: int
    height: int
    rotation: int
    codec: str
    has_audio: bool


def decoder_version() -> str:
    """Return the versions of what turns files into pixels, for the environment of a fingerprint."""
    versions = (f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in ("libavcodec", "libswscale"))
    return ", ".join([f"PyAV {av.__version__}", *versions])


def probe(path: Path) -> MediaInfo:
    """Read what the container says of a video, and decode its first frame; what it does not say is counted.

    Raises:
        UndecodableError: naming the file and why it cannot be used.
    """
    with _open(path) as (container, stream):
        duration_s = container.duration / av.time_base if container.duration else 0.0
        num_frames = stream.frames
        has_audio = bool(container.streams.audio)
        codec = stream.codec_context.name
        rate = float(stream.average_rate or 0)
        first = next(container.decode(stream), None)
    if first is None:
        raise UndecodableError(path, "no frame can be decoded")
    if duration_s <= 0 or num_frames <= 0:
        counted, end_s = _count_packets(path)
        num_frames = num_frames if num_frames > 0 else counted
        duration_s = duration_s if duration_s > 0 else end_s
    if duration_s <= 0:
        raise UndecodableError(path, "its duration is 0 s")
    rotation = -90 * round(first.rotation / 90) % 360
    width, height = (first.height, first.width) if rotation % 180 else (first.width, first.height)
    return MediaInfo(duration_s, rate or num_frames / duration_s, num_frames, width, height, rotation, codec, has_audio)


def check_decodable(path: Path) -> None:
    """Decode every frame once, and compare the length of the content with what the header claims.

    Raises:
        UndecodableError: naming the file and what is wrong: an error of the decoder, damaged frames, missing content.
    """
    num_frames = num_damaged = 0
    start_s, end_s = float("inf"), 0.0
    with _open(path, discard_others=False) as (container, stream):
        claimed_s = container.duration / av.time_base if container.duration else 0.0
        for packet in container.demux():
            if packet.pts is not None:
                start_s = min(start_s, float(packet.pts * packet.time_base))
                end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream is stream:
                frames = stream.codec_context.decode(packet)
                num_frames += len(frames)
                num_damaged += sum(frame.is_corrupt for frame in frames)
    if num_frames == 0:
        raise UndecodableError(path, "no frame can be decoded")
    if num_damaged > _MAX_DAMAGED_SHARE * num_frames:
        raise UndecodableError(path, f"{num_damaged} of {num_frames} frames are damaged")
    found_s = end_s - start_s
    if start_s < end_s and claimed_s - found_s > max(_MAX_MISSING_S, _MAX_MISSING_SHARE * claimed_s):
        raise UndecodableError(path, f"its header claims {claimed_s:.2f} s, but the content ends after {found_s:.2f} s")


def compute_clip_times(duration_s: float, sampling: ClipSampling) -> Seconds:
    """Return the times of every clip's frames, (S, K), within [0, duration_s).

    S = max(1, round(duration_s * clip_rate_hz)), halves to even.
    """
    num_clips = max(1, round(duration_s * sampling.clip_rate_hz))
    centres_s = (np.arange(num_clips) + 0.5) / sampling.clip_rate_hz  # (S,)
    times_s = centres_s[:, None] + np.asarray(sampling.offsets_s, dtype=np.float64)  # (S, K)
    return np.clip(times_s, 0.0, np.nextafter(duration_s, 0.0))


def read_frames(path: Path, times_s: Seconds, size_px: int, *, num_threads: int = 1) -> Images:
    """Return the frames on display at the given times, in the order asked: (T,) -> (T, H, W, 3).

    That is the last frame whose start is not after the time; before the first frame it is the first one.
    """
    times_s = np.asarray(times_s, dtype=np.float64)
    order = np.argsort(times_s, kind="stable")
    images = np.empty((len(times_s), size_px, size_px, 3), dtype=np.uint8)
    scaler = _Scaler(size_px)
    for first, end, frame in _iter_displayed(path, times_s[order], num_threads):
        images[order[first:end]] = scaler.scale(frame)
    return images


def iter_clips(
    path: Path, sampling: ClipSampling, *, duration_s: float, clips_per_batch: int = 64, num_threads: int = 1
) -> Iterator[Images]:
    """Yield the clips of a video in order, as batches (n, K, H, W, 3) with n <= `clips_per_batch`, in one decoding pass.

    Memory holds the few batches whose clips overlap, whatever the video's length.
    """
    times_s = compute_clip_times(duration_s, sampling)
    num_clips, num_offsets = times_s.shape
    order = np.argsort(times_s, axis=None, kind="stable")  # (S * K,)
    places = np.stack(np.divmod(order, num_offsets), axis=1).tolist()  # (clip, offset) of each time
    scaler = _Scaler(sampling.size_px)
    open_batches: dict[int, tuple[Images, list[int]]] = {}  # number -> (clips, [frames still missing])
    next_number = 0
    for first, end, frame in _iter_displayed(path, times_s.ravel()[order], num_threads):
        image = scaler.scale(frame)
        for clip, offset in places[first:end]:
            number, row = divmod(clip, clips_per_batch)
            if number not in open_batches:
                size = min(clips_per_batch, num_clips - number * clips_per_batch)
                shape = (size, num_offsets, sampling.size_px, sampling.size_px, 3)
                open_batches[number] = (np.empty(shape, dtype=np.uint8), [size * num_offsets])
            clips, missing = open_batches[number]
            clips[row, offset] = image
            missing[0] -= 1
            while next_number in open_batches and open_batches[next_number][1] == [0]:
                yield open_batches.pop(next_number)[0]
                next_number += 1


def read_clips(path: Path, sampling: ClipSampling, *, duration_s: float, num_threads: int = 1) -> Images:
    """Return all clips of a video: (S, K, H, W, 3)."""
    return np.concatenate(list(iter_clips(path, sampling, duration_s=duration_s, num_threads=num_threads)))


@contextmanager
def _open(path: Path, *, num_threads: int = 1, discard_others: bool = True) -> Iterator[tuple[InputContainer, VideoStream]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise UndecodableError(path, "the file is empty (0 bytes)")
    try:
        # An absolute path and this list keep a file from naming another protocol or host.
        with av.open(str(path.resolve()), options={"protocol_whitelist": "file"}) as container:
            # A cover picture is a video stream too.
            stream = next((one for one in container.streams.video if not one.disposition & Disposition.attached_pic), None)
            if stream is None:
                raise UndecodableError(path, "it holds no video stream")
            stream.codec_context.thread_count = num_threads
            if discard_others:
                for other in container.streams:
                    if other is not stream:
                        other.discard = Discard.all
            yield container, stream
    except av.error.FFmpegError as error:
        raise UndecodableError(path, f"it cannot be decoded: {error.strerror}") from error


def _count_packets(path: Path) -> tuple[int, float]:
    """Return the number of video packets and the time from the first one's start to the last one's end."""
    num_packets, start_s, end_s = 0, float("inf"), 0.0
    with _open(path) as (container, stream):
        nominal_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
        for packet in container.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            num_packets += packet.size > 0
            if stamp is None or packet.size == 0:
                continue
            begin_s = float(stamp * packet.time_base)
            start_s = min(start_s, begin_s)
            end_s = max(end_s, begin_s + (float(packet.duration * packet.time_base) if packet.duration else nominal_s))
    return num_packets, max(end_s - start_s, 0.0) if start_s < end_s else num_packets * nominal_s


def _iter_displayed(path: Path, times_s: Seconds, num_threads: int) -> Iterator[tuple[int, int, VideoFrame]]:
    """Yield (first, end, frame) where the sorted times[first:end] see this frame; frames that no time sees are left out."""
    done, shown, times = 0, None, times_s.tolist()
    with _open(path, num_threads=num_threads) as (container, stream):
        clock = _Clock(stream)
        for frame in container.decode(stream):
            start_s = clock.tell(frame)
            if shown is not None:
                end = bisect_left(times, start_s - _SAME_TIME_S, lo=done)
                if end > done:
                    yield done, end, shown
                done = end
                if done == len(times):
                    return
            shown = frame
    if shown is None:
        raise UndecodableError(path, "no frame can be decoded")
    if done < len(times_s):
        yield done, len(times_s), shown


class _Clock:
    """Tells when a frame starts, in seconds after the first one.

    Some containers (AVI) have wrong presentation times, some none: the timestamp of the two (presentation, decoding)
    that has run backwards less often so far is believed.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._tick_s = float(stream.time_base or 0)
        self._step_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
        self._last_pts = self._last_dts = float("-inf")
        self._pts_faults = self._dts_faults = 0
        self._origin_s: float | None = None
        self._now_s = -self._step_s

    def tell(self, frame: VideoFrame) -> float:
        pts, dts = frame.pts, frame.dts
        if pts is not None:
            self._pts_faults += pts <= self._last_pts
            self._last_pts = pts
        if dts is not None:
            self._dts_faults += dts <= self._last_dts
            self._last_dts = dts
        stamp = pts if dts is None or (pts is not None and self._pts_faults <= self._dts_faults) else dts
        if stamp is None:
            self._now_s += self._step_s
            return self._now_s
        time_s = stamp * self._tick_s
        if self._origin_s is None:
            self._origin_s = time_s
        self._now_s = max(self._now_s, time_s - self._origin_s)
        return self._now_s


class _Scaler:
    """Turns decoded frames into upright squares; one a stream, because its set-up costs more than a frame."""

    def __init__(self, size_px: int) -> None:
        self._size_px = size_px
        self._reformatter = VideoReformatter()

    def scale(self, frame: VideoFrame) -> Images:
        small = self._reformatter.reformat(
            frame, self._size_px, self._size_px, "rgb24", interpolation=Interpolation.FAST_BILINEAR, threads=1
        )
        image = np.asarray(small.to_ndarray(), dtype=np.uint8)
        return np.rot90(image, round(frame.rotation / 90) % 4) if frame.rotation else image

"""Facts of a media file, and the result of probing one. Nothing here reads or decodes files."""

from dataclasses import dataclass
from pathlib import Path

_NEVER_EMPTY = (
    "fps",
    "num_frames",
    "width",
    "height",
    "codec",
    "frame_rate",
    "audio_codec",
    "audio_rate_hz",
    "audio_channels",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """Facts of a video file. An unknown fact is None, never 0 or "".

    `width` and `height` are those of the upright frames in pixels; `rotation` is the clockwise turn in degrees that makes the
    frames upright. `duration_s` is the end of the pictures and of the sound that continues after them, from time 0.
    `frame_rate` is the exact average, such as "30000/1001", and `fps` its value. The facts of the sound are None if the file
    has no decodable sound. `audio_peak_db` is the loudest sample of all channels in decibels of full scale, at least -120
    (digital silence); it is None until the sound was decoded. `num_damaged` counts undecodable frames and
    `num_damaged_audio` undecodable packets of sound; both are None until the file was decoded. `notes` are sentences about
    repairs and left-out parts. If only the features of a video exist, all facts except `duration_s` are None.

    Raises:
        ValueError: naming the fact that is 0 or "".
    """

    duration_s: float
    fps: float | None = None
    num_frames: int | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    codec: str | None = None
    has_audio: bool | None = None
    frame_rate: str | None = None
    audio_codec: str | None = None
    audio_rate_hz: int | None = None
    audio_channels: int | None = None
    audio_peak_db: int | None = None
    num_damaged: int | None = None
    num_damaged_audio: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse 0 and "" as values of unknown facts."""
        for name in _NEVER_EMPTY:
            value = getattr(self, name)
            if value is not None and not value:
                raise ValueError(f"{name} is {value!r}; an unknown fact is None (null in JSON)")


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of probing a file: `info` if it decodes from start to end, otherwise the `reason` of the failure."""

    path: Path
    sha256: str = ""
    info: MediaInfo | None = None
    reason: str = ""

"""What is known of each video that can be searched, played or is on its way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Origin = Literal["collection", "upload"]
State = Literal["waiting", "indexing", "ready", "failed"]
Playable = Literal["yes", "converting", "no"]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A video as it is shown. `playable` is "converting" where asking for the media starts a conversion or waits for one."""

    video_id: str
    title: str
    duration_s: float | None  # None until it is known
    origin: Origin
    state: State
    progress: float  # of the indexing, in [0, 1]
    reason: str  # why it was refused, or cannot be played; empty otherwise
    num_thumbnails: int
    playable: Playable


class Brief(NamedTuple):
    """What is shown of a video beside a moment of it."""

    title: str
    duration_s: float
    num_thumbnails: int


class MediaFile(NamedTuple):
    """A file that browsers play."""

    path: Path
    media_type: str


class ConvertingError(Exception):
    """The playable form of a video is being made: ask again."""


class LimitError(Exception):
    """A limit on what the service keeps is reached; the message names it and what to do."""

"""Catalogue of videos: those that can be searched, played, or are being processed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Origin = Literal["collection", "upload"]
State = Literal["waiting", "indexing", "ready", "failed"]
Playable = Literal["yes", "converting", "no"]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A video in a list. `playable` is "converting" if a request for the media starts a conversion or waits for one."""

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
    """Facts of a video that are shown with its moments."""

    title: str
    duration_s: float
    num_thumbnails: int


class MediaFile(NamedTuple):
    """A file that browsers play."""

    path: Path
    media_type: str


class ConvertingError(Exception):
    """The playable form of a video is being converted; try again."""


class LimitError(Exception):
    """A limit of the service is reached; the message names the limit and the remedy."""

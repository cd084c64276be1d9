"""A video as an index lists it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """A video of the collection; `path` is relative to the media root, empty without a file; `sha256` is that of the file.

    `is_intact` is False if something of the file was repaired or left out: browsers would stop there, or show it wrongly.
    """

    video_id: str
    path: str
    duration_s: float
    split: str  # empty if the videos have none
    sha256: str
    is_intact: bool = True

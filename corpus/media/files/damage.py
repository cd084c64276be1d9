"""Damage of a video: counts damaged packets and defines the tolerated share."""

from dataclasses import dataclass
from pathlib import Path

from corpus.media.files.errors import UndecodableError

MAX_DAMAGED_SHARE = 0.01  # of the pictures, and of the packets of sound; decoders conceal damage instead of stopping


@dataclass(slots=True)
class Damage:
    """Damage counter of one decoder. The pictures and the sound have one each."""

    num_units: int = 0  # packets passed to the decoder
    num_damaged: int = 0  # of these: rejected by the decoder, or marked as corrupt by it
    is_last_damaged: bool = False  # an interrupted recording ends in half a packet

    def add(self, num_damaged: int, *, ends: bool) -> None:
        """Count the damage of the next packet, or of the decoder's output at the end."""
        self.num_damaged += num_damaged
        self.is_last_damaged = num_damaged > 0 or (ends and self.is_last_damaged)

    @property
    def is_tolerable(self) -> bool:
        """Whether the share of damage is tolerable; a truncated last packet does not count."""
        return self.num_damaged - self.is_last_damaged <= MAX_DAMAGED_SHARE * self.num_units

    def describe(self, what: str) -> str:
        """Describe how many of `what`, a plural, are damaged."""
        said = f"{self.num_damaged} of {self.num_units} {what} are damaged"
        return said if self.is_tolerable else f"{said}, at most {MAX_DAMAGED_SHARE:.0%} is tolerated"


def require_pictures(path: Path, damage: Damage, *, num_frames: int) -> None:
    """Refuse a video without any frame, or with too much damage.

    Raises:
        UndecodableError: naming the file and the counts.
    """
    if num_frames == 0:
        raise UndecodableError(path, f"it cannot be decoded: no frame comes out of its {damage.num_units} packets of pictures")
    if not damage.is_tolerable:
        raise UndecodableError(path, f"it cannot be decoded: {damage.describe('frames')}")

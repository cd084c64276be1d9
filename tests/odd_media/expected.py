"""An odd file and what every reader must find in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, eq=False)
class OddFile:
    """One odd file. The pictures show their number (`numbered_clips.read_number`).

    Picture n of `starts_s` is on display from starts_s[n] seconds on; it shows numbers[n]. A file is refused if `refused_with`
    is set: a pattern that its reason must match.
    """

    name: str
    make: Callable[[Path], None]
    starts_s: Sequence[float] = ()
    numbers: Sequence[int] = ()
    duration_s: float = 0.0
    tolerance_s: float = 0.1  # of the duration: a picture
    num_frames: int = 0
    has_sound: bool = False
    slack: int = 0  # pictures by which a reader may be off, if FFmpeg does not tell the times of all
    num_damaged: int = 0
    num_damaged_audio: int = 0
    notes: tuple[str, ...] = ()  # patterns, one a note
    refused_with: str = ""

    def write(self, folder: Path) -> Path:
        """Write the file into a folder."""
        path = folder / self.name
        self.make(path)
        return path


def show(
    name: str,
    make: Callable[[Path], None],
    numbers: Sequence[int],
    *,
    first_s: float = 0.0,
    step_s: float = 0.1,
    **expected: object,
) -> OddFile:
    """Return a file whose pictures follow one another every `step_s` from `first_s` on; other facts follow from that."""
    starts_s = [first_s + step_s * place for place in range(len(numbers))]
    facts = {"duration_s": first_s + step_s * len(numbers), "num_frames": len(numbers)} | expected
    return OddFile(name, make, starts_s, numbers, **facts)  # type: ignore[arg-type]

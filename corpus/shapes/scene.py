"""Content of a drawn video: actors, events and background. Lengths are in frame widths (0, 0 is top left), times in frames."""

from dataclasses import dataclass
from enum import StrEnum

RADIUS = 0.1  # of an actor at scale 1
SCALES = (0.62, 1.0, 1.5)  # of the three levels of size


class Kind(StrEnum):
    """Kinds of events."""

    MOVE_LEFT = "move_left"
    MOVE_RIGHT = "move_right"
    MOVE_UP = "move_up"
    MOVE_DOWN = "move_down"
    SPIN = "spin"
    BLINK = "blink"
    GROW = "grow"
    SHRINK = "shrink"
    SHAKE = "shake"
    ENTER = "enter"
    LEAVE = "leave"
    COLLIDE = "collide"


DIRECTIONS = {Kind.MOVE_LEFT: (-1, 0), Kind.MOVE_RIGHT: (1, 0), Kind.MOVE_UP: (0, -1), Kind.MOVE_DOWN: (0, 1)}


@dataclass(frozen=True, slots=True)
class Actor:
    """A shape with its first position and its first size level (an index of SCALES)."""

    color: str
    shape: str
    x: float = 0.5
    y: float = 0.5
    level: int = 1


@dataclass(frozen=True, slots=True)
class Event:
    """One event in frames [start, end).

    `shift` is the displacement of the actor: to its new position (moves), to its position outside the picture (enter and
    leave), or to its contact with the actor `patient` (collide), from which it returns.
    """

    kind: Kind
    actor: int
    start: int
    end: int
    shift: tuple[float, float] = (0.0, 0.0)
    patient: int | None = None

    def overlaps(self, start: int, end: int) -> bool:
        """Whether the event shares a frame with [start, end)."""
        return self.start < end and start < self.end


@dataclass(frozen=True, slots=True)
class Background:
    """A texture family, the seed of its details, and its drift in frame widths per second."""

    family: str
    seed: int
    drift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """The content of one video before drawing."""

    video_id: str
    split: str
    fps: int
    num_frames: int
    actors: tuple[Actor, ...]
    events: tuple[Event, ...]
    background: Background

    @property
    def duration_s(self) -> float:
        """The exact duration of the video stream."""
        return self.num_frames / self.fps

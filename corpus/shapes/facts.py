"""Facts of a scene with their times, the ground truth of sentences.

An event can make several facts true: a circle that enters from the left also moves right, and a circle that collides with
its right neighbour moves right, then left.
"""

from dataclasses import dataclass

from corpus.shapes.drawing.palette import ALL_COLORS, SHAPES
from corpus.shapes.scene import DIRECTIONS, Actor, Event, Kind, Scene

_SEEN_WAY = 0.08  # in frame widths: a shift along one axis that people call a move in this direction
_HELD_OUT_SHARE = 7  # one in so many


@dataclass(frozen=True, slots=True)
class Fact:
    """`actor` does `kind` (to `patient`, in collisions) in frames [start, end). `event` is the event that shows it."""

    kind: Kind
    start: int
    end: int
    event: int
    actor: Actor
    patient: Actor | None = None

    @property
    def length(self) -> int:
        """The number of its frames."""
        return self.end - self.start


def list_facts(scene: Scene) -> tuple[Fact, ...]:
    """Return every fact of a scene, by start."""
    facts = [fact for index, event in enumerate(scene.events) for fact in _list_facts_of(scene, index, event)]
    return tuple(sorted(facts, key=lambda fact: (fact.start, fact.end, fact.event, fact.kind)))


def is_held_out(fact: Fact) -> bool:
    """Tell whether only the split `test_unseen` shows this combination of colour, shape and kind of event."""
    color, shape, kind = list(ALL_COLORS).index(fact.actor.color), SHAPES.index(fact.actor.shape), list(Kind).index(fact.kind)
    return (color + 2 * shape + 3 * kind) % _HELD_OUT_SHARE == 0


def _list_facts_of(scene: Scene, index: int, event: Event) -> list[Fact]:
    actor = scene.actors[event.actor]
    patient = None if event.patient is None else scene.actors[event.patient]
    touch = (event.start + event.end) // 2
    facts = [Fact(event.kind, event.start, event.end, index, actor, patient)]
    to_shift = _list_directions(event.shift)
    back = _list_directions((-event.shift[0], -event.shift[1]))
    if event.kind is Kind.ENTER:
        facts += [Fact(kind, event.start, event.end, index, actor) for kind in back]
    elif event.kind is Kind.LEAVE:
        facts += [Fact(kind, event.start, event.end, index, actor) for kind in to_shift]
    elif event.kind is Kind.COLLIDE:
        facts += [Fact(kind, event.start, touch, index, actor) for kind in to_shift]
        facts += [Fact(kind, touch, event.end, index, actor) for kind in back]
    return facts


def _list_directions(shift: tuple[float, float]) -> list[Kind]:
    return [kind for kind, (x, y) in DIRECTIONS.items() if shift[0] * x + shift[1] * y >= _SEEN_WAY]

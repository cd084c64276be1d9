"""Plan of a scene: actors, events and times. Times are drawn first, so they are independent of kind, colour and shape."""

from dataclasses import dataclass, replace

import numpy as np

from corpus.shapes.drawing.palette import COLORS, ROUND_SHAPES, SHAPES, SHIFTED_COLORS
from corpus.shapes.facts import Fact, is_held_out
from corpus.shapes.params import ShapesParams
from corpus.shapes.scene import DIRECTIONS, SCALES, Actor, Event, Kind

_GAP_S = 0.5  # between two events of one actor
_REPEAT_SHARE = 0.6  # of actors with several events: these repeat a kind
_PER_ACTOR = 3  # events at most
_PER_EDGE_KIND = 2  # at most this many actors enter, and this many leave
_KINDS_PER_SCENE = (2, 4)
_LOOKS = 3  # colours and shapes of a scene, combined
# Sampling weights that make all kinds about equally frequent in events and sentences; kinds that need room and free actors are
# rejected more often. Fitted in six rounds of 300 scenes of the default size.
KIND_WEIGHTS = {
    **dict.fromkeys(DIRECTIONS, 0.77),
    **dict.fromkeys((Kind.GROW, Kind.SHRINK), 0.65),
    **dict.fromkeys((Kind.SPIN, Kind.BLINK, Kind.SHAKE), 0.57),
    **dict.fromkeys((Kind.ENTER, Kind.LEAVE), 2.3),
    Kind.COLLIDE: 4.8,
}


@dataclass(frozen=True, slots=True)
class Times:
    """The length of a video and its events as frames [start, end), in random order."""

    num_frames: int
    events: tuple[tuple[int, int], ...]


def draw_times(rng: np.random.Generator, params: ShapesParams) -> Times:
    """Draw the length of a video, and events of log-uniform length at uniform starts."""
    fps = params.fps
    num_frames = round(rng.uniform(params.shortest_s, params.longest_s) * fps)
    count = int(rng.integers(params.min_events, params.max_events + 1))
    low, high = np.log([params.shortest_event_s, params.longest_event_s])
    lengths = np.round(np.exp(rng.uniform(low, high, size=count)) * fps).astype(int)
    starts = [int(rng.integers(0, num_frames - length + 1)) for length in lengths]
    return Times(num_frames, tuple((start, start + int(length)) for start, length in zip(starts, lengths, strict=True)))


def draw_events(rng: np.random.Generator, times: Times, num_actors: int, fps: int) -> list[Event] | None:
    """Assign an actor and a kind to each time; None if the draws do not fit together."""
    gap = round(_GAP_S * fps)
    kinds = _draw_kinds(rng)
    owners: list[list[tuple[int, int]]] = [[] for _ in range(num_actors)]
    for start, end in times.events:
        free = [own for own in owners if len(own) < _PER_ACTOR and all(e + gap <= start or end + gap <= s for s, e in own)]
        if not free:
            return None
        free[int(rng.integers(len(free)))].append((start, end))
    events: list[Event] = []
    for actor, own in enumerate(owners):
        chosen = _choose_kinds(rng, kinds, len(own))
        if chosen is None:
            return None
        events += [Event(kind, actor, start, end) for kind, (start, end) in zip(chosen, sorted(own), strict=True)]
    counts = [sum(event.kind is kind for event in events) for kind in (Kind.ENTER, Kind.LEAVE)]
    return None if max(counts) > _PER_EDGE_KIND else _draw_patients(rng, events, num_actors, gap)


def draw_looks(rng: np.random.Generator, events: list[Event], num_actors: int, split: str) -> list[Actor] | None:
    """Give each actor a different combination of three colours and three shapes; None if no combination is allowed."""
    colors = [str(color) for color in rng.choice(list(COLORS), size=_LOOKS, replace=False)]
    if split == "test_shifted":
        colors[1:] = [str(color) for color in rng.choice(list(SHIFTED_COLORS), size=_LOOKS - 1, replace=False)]
    shapes = [str(shape) for shape in rng.choice(SHAPES, size=_LOOKS, replace=False)]
    looks = [Actor(color, shape) for color in colors for shape in shapes]
    rng.shuffle(looks)
    actors: list[Actor] = []
    for index in range(num_actors):
        kinds = [event.kind for event in events if event.actor == index]
        allowed = [look for look in looks if _may_do(look, kinds, split)]
        if not allowed:
            return None
        looks.remove(allowed[0])
        actors.append(replace(allowed[0], level=_choose_level(rng, kinds)))
    return actors


def _draw_kinds(rng: np.random.Generator) -> list[Kind]:
    weights = np.array(list(KIND_WEIGHTS.values()))
    count = int(rng.integers(_KINDS_PER_SCENE[0], _KINDS_PER_SCENE[1] + 1))
    chosen = rng.choice(len(weights), size=count, replace=False, p=weights / weights.sum())
    return [list(KIND_WEIGHTS)[index] for index in chosen]


def _choose_kinds(rng: np.random.Generator, kinds: list[Kind], count: int) -> list[Kind] | None:
    """Choose the kinds of an actor's events. An actor that enters or leaves does nothing else, to avoid a bias in time."""
    allowed = kinds if count == 1 else [kind for kind in kinds if kind not in (Kind.ENTER, Kind.LEAVE)]
    if not allowed:
        return None
    if count > 1 and rng.random() < _REPEAT_SHARE:
        allowed = [allowed[int(rng.integers(len(allowed)))]]
    chosen = [allowed[int(rng.integers(len(allowed)))] for _ in range(count)]
    return chosen if len(_list_levels(chosen)) <= len(SCALES) else None


def _list_levels(kinds: list[Kind]) -> range:
    """Return the size levels of a sequence of events, relative to the first."""
    level, low, high = 0, 0, 0
    for kind in kinds:
        level += (kind is Kind.GROW) - (kind is Kind.SHRINK)
        low, high = min(low, level), max(high, level)
    return range(low, high + 1)


def _choose_level(rng: np.random.Generator, kinds: list[Kind]) -> int:
    levels = _list_levels(kinds)
    if len(levels) == 1:
        return 1
    return int(rng.integers(-levels.start, len(SCALES) - levels.stop + 1))


def _may_do(look: Actor, kinds: list[Kind], split: str) -> bool:
    if look.shape in ROUND_SHAPES and Kind.SPIN in kinds:
        return False
    held_out = [is_held_out(Fact(kind, 0, 1, 0, look)) for kind in kinds]
    return all(held_out) if split == "test_unseen" else not any(held_out)


def _draw_patients(rng: np.random.Generator, events: list[Event], num_actors: int, gap: int) -> list[Event] | None:
    """Choose the target of each collision: an actor that is present and idle at that time."""
    chosen: list[Event] = []
    for event in events:
        if event.kind is not Kind.COLLIDE:
            chosen.append(event)
            continue
        free = [actor for actor in range(num_actors) if actor != event.actor and _is_idle(events + chosen, actor, event, gap)]
        if not free:
            return None
        chosen.append(replace(event, patient=free[int(rng.integers(len(free)))]))
    return chosen


def _is_idle(events: list[Event], actor: int, during: Event, gap: int) -> bool:
    for event in events:
        if event.patient == actor and event.overlaps(during.start - gap, during.end + gap):
            return False
        if event.actor != actor:
            continue
        if event.overlaps(during.start - gap, during.end + gap):
            return False
        if event.kind is Kind.ENTER and event.start > during.start or event.kind is Kind.LEAVE and event.end < during.end:
            return False
    return True

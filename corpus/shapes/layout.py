"""Layout of a plan: positions and paths. Actors leave the picture only by plan, and never cover each other."""

from dataclasses import replace
from itertools import combinations

import numpy as np

from corpus.shapes.motion import Track, build_track, build_tracks
from corpus.shapes.scene import DIRECTIONS, RADIUS, SCALES, Actor, Event, Kind, Scene

_TRIES_PER_ACTOR = 30
_MOVE = (0.25, 0.5)  # frame widths
_REPEATED_MOVE = (0.2, 0.3)
_SHORTEST_WAY = 0.2  # of an actor that enters or leaves
_SHORTEST_RUN_UP = 0.14  # of a collision
_CLEARANCE = 1.05  # of the sum of two radii, so that actors do not seem to collide
_TOUCH = 0.96  # of the sum of two radii, at a collision
_COLLIDING_CLEARANCE = 0.94


def place(rng: np.random.Generator, scene: Scene) -> Scene | None:
    """Return the scene with positions and paths; None if these draws leave no room."""
    events = [_draw_way(rng, event, scene.events) for event in scene.events]
    actors: list[Actor] = []
    tracks: list[Track] = []
    for index, actor in enumerate(scene.actors):
        own = [event for event in events if event.actor == index]
        found = _place_actor(rng, actor, own, tracks, scene)
        if found is None:
            return None
        actors.append(found[0])
        tracks.append(found[2])
        events = [event for event in events if event.actor != index] + found[1]
    events = sorted(events, key=lambda event: (event.start, event.end, event.actor))
    aimed = [_aim(event, tracks) if event.kind is Kind.COLLIDE else event for event in events]
    if any(event is None for event in aimed):
        return None
    placed = replace(scene, actors=tuple(actors), events=tuple(event for event in aimed if event))
    return placed if _is_clear(placed) else None


def _draw_way(rng: np.random.Generator, event: Event, events: tuple[Event, ...]) -> Event:
    """Draw the length of a move, and the edge (a unit vector) by which an actor enters or leaves."""
    if event.kind in DIRECTIONS:
        again = sum(other.actor == event.actor and other.kind in DIRECTIONS for other in events) > 1
        length = rng.uniform(*(_REPEATED_MOVE if again else _MOVE))
        x, y = DIRECTIONS[event.kind]
        return replace(event, shift=(x * length, y * length))
    if event.kind in (Kind.ENTER, Kind.LEAVE):
        x, y = list(DIRECTIONS.values())[int(rng.integers(4))]
        return replace(event, shift=(float(x), float(y)))
    return event


def _place_actor(
    rng: np.random.Generator, actor: Actor, events: list[Event], others: list[Track], scene: Scene
) -> tuple[Actor, list[Event], Track] | None:
    bounds = _find_room(actor, events)
    if bounds is None:
        return None
    for _ in range(_TRIES_PER_ACTOR):
        x, y = rng.uniform(*bounds)
        placed = replace(actor, x=float(x), y=float(y))
        finished = [_reach_edge(placed, event) for event in events]
        if any(_is_too_short(event) for event in finished):
            continue
        track = build_track(placed, finished, num_frames=scene.num_frames, fps=scene.fps)
        if all(_are_apart(track, other, _CLEARANCE) for other in others):
            return placed, finished, track
    return None


def _find_room(actor: Actor, events: list[Event]) -> tuple[list[float], list[float]] | None:
    """Return the lowest and highest start position that keeps the whole path inside the picture."""
    ways = [event.shift for event in sorted(events, key=lambda event: event.start) if event.kind in DIRECTIONS]
    stops = np.concatenate([np.zeros((1, 2)), np.cumsum(np.array(ways).reshape(-1, 2), axis=0)])
    growing = any(event.kind is Kind.GROW for event in events)
    margin = RADIUS * (SCALES[-1] if growing else SCALES[actor.level]) * 1.15
    low, high = margin - stops.min(axis=0), 1 - margin - stops.max(axis=0)
    return None if (low >= high).any() else (low.tolist(), high.tolist())


def _reach_edge(actor: Actor, event: Event) -> Event:
    """Extend the path of an actor that enters or leaves to just outside the picture."""
    if event.kind not in (Kind.ENTER, Kind.LEAVE):
        return event
    outside = RADIUS * SCALES[actor.level]
    way = [
        0.0 if unit == 0 else unit * ((place if unit < 0 else 1 - place) + outside)
        for unit, place in zip(event.shift, (actor.x, actor.y), strict=True)
    ]
    return replace(event, shift=(way[0], way[1]))


def _is_too_short(event: Event) -> bool:
    return event.kind in (Kind.ENTER, Kind.LEAVE) and max(map(abs, event.shift)) < _SHORTEST_WAY + RADIUS


def _aim(event: Event, tracks: list[Track]) -> Event | None:
    """Set the path of a collision to the point of contact; None if the actors are too close for a visible move."""
    assert event.patient is not None
    own, other = tracks[event.actor], tracks[event.patient]
    way = other.place[event.start] - own.place[event.start]
    distance = float(np.hypot(*way))
    length = distance - _TOUCH * float(own.radius[event.start] + other.radius[event.start])
    if length < _SHORTEST_RUN_UP:
        return None
    return replace(event, shift=(float(way[0] * length / distance), float(way[1] * length / distance)))


def _are_apart(track: Track, other: Track, clearance: float) -> bool:
    distance = np.hypot(*(track.place - other.place).T)  # (F,)
    near = distance < clearance * (track.radius + other.radius)
    return not (near & track.visible & other.visible).any()


def _is_clear(scene: Scene) -> bool:
    tracks = build_tracks(scene)
    colliding = {frozenset((event.actor, event.patient)) for event in scene.events if event.kind is Kind.COLLIDE}
    return all(
        _are_apart(tracks[one], tracks[other], _COLLIDING_CLEARANCE if {one, other} in colliding else _CLEARANCE)
        for one, other in combinations(range(len(tracks)), 2)
    )

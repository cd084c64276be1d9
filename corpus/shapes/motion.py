"""Motion of actors: position, scale, angle and visibility at every frame, from events."""

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from corpus.shapes.scene import DIRECTIONS, RADIUS, SCALES, Actor, Event, Kind, Scene

_BLINK_S = 0.2  # each of off and on
_SHAKE_S = 0.4  # period of one swing
_SHAKE_WIDTH = 0.06
_TURNS_PER_S = 0.5
_RECOIL = 0.035  # of an actor that is hit
_RECOIL_S = 0.6


@dataclass(frozen=True)
class Track:
    """The state of one actor at each of F frames: `place` (F, 2), `scale`, `angle` in radians and `visible` (F,)."""

    place: NDArray[np.float64]
    scale: NDArray[np.float64]
    angle: NDArray[np.float64]
    visible: NDArray[np.bool_]

    @property
    def radius(self) -> NDArray[np.float64]:
        """Half the extent of the actor: (F,)."""
        return RADIUS * self.scale


def build_track(actor: Actor, events: list[Event], *, num_frames: int, fps: int) -> Track:
    """Play the events of one actor in order."""
    track = Track(
        place=np.tile([actor.x, actor.y], (num_frames, 1)).astype(np.float64),
        scale=np.full(num_frames, SCALES[actor.level]),
        angle=np.zeros(num_frames),
        visible=np.ones(num_frames, dtype=bool),
    )
    level = actor.level
    for event in sorted(events, key=lambda event: event.start):
        _play_place(track, event, fps)
        _play_looks(track, event, fps)
        if event.kind in (Kind.GROW, Kind.SHRINK):
            level = _play_scale(track, event, level)
    return track


def build_tracks(scene: Scene) -> list[Track]:
    """Play a whole scene: one track per actor, including the recoil of hit actors."""
    tracks = [
        build_track(
            actor,
            [event for event in scene.events if event.actor == index],
            num_frames=scene.num_frames,
            fps=scene.fps,
        )
        for index, actor in enumerate(scene.actors)
    ]
    for event in scene.events:
        if event.patient is not None:
            _play_recoil(tracks[event.patient], event, scene.fps)
    return tracks


def _progress(event: Event) -> NDArray[np.float64]:
    """Return values that rise from above 0 to 1 over the frames of the event."""
    length = event.end - event.start
    return (np.arange(length) + 1) / length


def _play_place(track: Track, event: Event, fps: int) -> None:
    shift, progress = np.array(event.shift), _progress(event)[:, None]
    during = slice(event.start, event.end)
    if event.kind in DIRECTIONS:
        track.place[during] += shift * progress
        track.place[event.end :] += shift
    elif event.kind is Kind.ENTER:
        track.place[during] += shift * (1 - progress)
    elif event.kind is Kind.LEAVE:
        track.place[during] += shift * progress
    elif event.kind is Kind.COLLIDE:
        track.place[during] += shift * (1 - np.abs(2 * progress - 1))
    elif event.kind is Kind.SHAKE:
        phase = (np.arange(event.end - event.start) + 0.5) / (fps * _SHAKE_S)
        track.place[during, 0] += _SHAKE_WIDTH * np.sin(2 * pi * phase)


def _play_looks(track: Track, event: Event, fps: int) -> None:
    length = event.end - event.start
    if event.kind is Kind.ENTER:
        track.visible[: event.start] = False
    elif event.kind is Kind.LEAVE:
        track.visible[event.end :] = False
    elif event.kind is Kind.BLINK:
        track.visible[event.start : event.end] = np.arange(length) // max(1, round(fps * _BLINK_S)) % 2 == 1
    elif event.kind is Kind.SPIN:
        turns = max(1, round(length / fps * _TURNS_PER_S))
        track.angle[event.start : event.end] = 2 * pi * turns * _progress(event)


def _play_scale(track: Track, event: Event, level: int) -> int:
    reached = level + (1 if event.kind is Kind.GROW else -1)
    before, after = SCALES[level], SCALES[reached]
    track.scale[event.start : event.end] = before + (after - before) * _progress(event)
    track.scale[event.end :] = after
    return reached


def _play_recoil(track: Track, event: Event, fps: int) -> None:
    touch = (event.start + event.end) // 2
    fading = 1 - np.arange(max(1, round(fps * _RECOIL_S))) / (fps * _RECOIL_S)  # (R,)
    way = np.array(event.shift) / np.hypot(*event.shift)
    end = min(touch + len(fading), len(track.place))
    track.place[touch:end] += _RECOIL * fading[: end - touch, None] * way

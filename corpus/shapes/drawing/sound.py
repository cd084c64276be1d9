"""Sound of scenes: one tone per kind of event. Sound reveals the event and its time, but not the actor."""

from math import pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.shapes.scene import Event, Kind, Scene

_LOUDNESS = 0.18
_FADE_S = 0.03


class Tone(NamedTuple):
    """The tone of a kind of event."""

    pitch_hz: float
    glide: float = 1.0  # pitch at the end, relative to the start
    tremolo_hz: float = 0.0
    vibrato_hz: float = 0.0
    overtone: float = 0.0  # loudness of the octave
    decay_per_s: float = 0.0  # away from the middle


TONES = {
    Kind.MOVE_LEFT: Tone(262),
    Kind.MOVE_RIGHT: Tone(392),
    Kind.MOVE_UP: Tone(330, glide=2.0),
    Kind.MOVE_DOWN: Tone(660, glide=0.5),
    Kind.SPIN: Tone(523, vibrato_hz=5),
    Kind.BLINK: Tone(880, tremolo_hz=2.5),
    Kind.GROW: Tone(196, glide=1.5, overtone=0.6),
    Kind.SHRINK: Tone(294, glide=0.67, overtone=0.6),
    Kind.SHAKE: Tone(220, tremolo_hz=11),
    Kind.ENTER: Tone(440, glide=1.33, tremolo_hz=5),
    Kind.LEAVE: Tone(587, glide=0.75, tremolo_hz=5),
    Kind.COLLIDE: Tone(147, overtone=0.8, decay_per_s=3),
}


def build_sound(scene: Scene, rate_hz: int) -> NDArray[np.float32]:
    """Return the sound of a scene, mono in [-1, 1], exactly as long as its frames: (samples,)."""
    sound = np.zeros(scene.num_frames * rate_hz // scene.fps)
    for event in scene.events:
        tone = _build_tone(event, scene.fps, rate_hz)
        start = event.start * rate_hz // scene.fps
        sound[start : start + len(tone)] += tone
    return np.clip(sound, -1, 1).astype(np.float32)


def _build_tone(event: Event, fps: int, rate_hz: int) -> NDArray[np.float64]:
    tone = TONES[event.kind]
    time = np.arange((event.end - event.start) * rate_hz // fps) / rate_hz  # (samples,) seconds
    length = (event.end - event.start) / fps
    pitch = tone.pitch_hz * tone.glide ** (time / length) * (1 + 0.04 * np.sin(2 * pi * tone.vibrato_hz * time))
    phase = 2 * pi * np.cumsum(pitch) / rate_hz
    wave = np.sin(phase) + tone.overtone * np.sin(2 * phase)
    swing = 0.5 + 0.5 * np.cos(2 * pi * tone.tremolo_hz * time)
    fade = np.clip(np.minimum(time, length - time) / _FADE_S, 0, 1)
    return _LOUDNESS * wave * swing * fade * np.exp(-tone.decay_per_s * np.abs(time - length / 2))

"""Drawing of scenes as pixels."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from corpus.shapes.drawing.background import build_texture, shift_texture
from corpus.shapes.drawing.palette import ALL_COLORS, build_outline
from corpus.shapes.motion import Track, build_tracks
from corpus.shapes.scene import Actor, Scene

_SUBPIXEL_BITS = 4


def draw_frames(scene: Scene, size_px: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a scene: (size, size, 3) RGB."""
    texture = build_texture(scene.background, size_px)
    tracks = build_tracks(scene)
    for index in range(scene.num_frames):
        frame = shift_texture(texture, scene.background, index / scene.fps)
        for actor, track in zip(scene.actors, tracks, strict=True):
            if track.visible[index]:
                _draw_actor(frame, actor, track, index)
        yield frame


def _draw_actor(frame: NDArray[np.uint8], actor: Actor, track: Track, index: int) -> None:
    """Draw a filled, outlined shape into `frame`."""
    cosine, sine = np.cos(track.angle[index]), np.sin(track.angle[index])
    turned = build_outline(actor.shape) @ np.array([[cosine, sine], [-sine, cosine]])  # (P, 2)
    corners = (track.place[index] + track.radius[index] * turned) * len(frame)
    points = [np.round(corners * 2**_SUBPIXEL_BITS).astype(np.int32)]
    color = ALL_COLORS[actor.color]
    cv2.fillPoly(frame, points, color, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.polylines(frame, points, True, _choose_edge(color), 1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _choose_edge(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return a darker tone of the colour, or a lighter one of a dark colour."""
    if max(color) > 128:
        return (color[0] * 2 // 5, color[1] * 2 // 5, color[2] * 2 // 5)
    return (color[0] // 2 + 100, color[1] // 2 + 100, color[2] // 2 + 100)

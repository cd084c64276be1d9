"""Colours and outlines of the drawn shapes."""

from functools import cache
from math import pi

import numpy as np
from numpy.typing import NDArray

COLORS = {  # RGB
    "red": (225, 35, 35),
    "orange": (250, 140, 15),
    "yellow": (250, 225, 40),
    "green": (35, 165, 55),
    "cyan": (45, 215, 225),
    "blue": (40, 75, 235),
    "purple": (135, 45, 190),
    "pink": (250, 150, 195),
    "brown": (130, 75, 25),
    "white": (250, 250, 250),
}
SHIFTED_COLORS = {  # only in the split `test_shifted`
    "black": (12, 12, 12),
    "lime": (170, 250, 60),
    "navy": (20, 25, 105),
    "maroon": (110, 10, 35),
    "olive": (120, 140, 10),
    "magenta": (235, 20, 200),
}
ALL_COLORS = COLORS | SHIFTED_COLORS
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart")
ROUND_SHAPES = frozenset({"circle"})  # their spin is invisible


@cache
def build_outline(shape: str) -> NDArray[np.float64]:
    """Return the polygon of a shape around (0, 0), x to the right and y down, of about radius 1: (P, 2)."""
    if shape == "circle":
        return 0.95 * _on_circle(np.arange(28) / 28)
    if shape == "square":
        return 1.2 * _on_circle((np.arange(4) + 0.5) / 4)
    if shape == "triangle":
        return np.array([0.0, 0.15]) + 1.2 * _on_circle(np.arange(3) / 3)
    if shape == "star":
        return _on_circle(np.arange(10) / 10) * np.where(np.arange(10) % 2, 0.5, 1.25)[:, None]
    if shape == "cross":
        corner = np.array([[0.36, -1.1], [0.36, -0.36], [1.1, -0.36]])
        quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])  # (x, y) -> (-y, x)
        return np.concatenate([corner @ np.linalg.matrix_power(quarter, turn) for turn in range(4)])
    if shape == "heart":
        angle = np.linspace(0, 2 * pi, 28, endpoint=False)
        x = 16 * np.sin(angle) ** 3
        y = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
        return np.stack([x, -y - 2.5], axis=1) / 15
    raise ValueError(f"there is no shape {shape!r}; known: {', '.join(SHAPES)}")


def _on_circle(turns: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return points of the unit circle, clockwise from the top: (P,) turns -> (P, 2)."""
    return np.stack([np.sin(2 * pi * turns), -np.cos(2 * pi * turns)], axis=1)

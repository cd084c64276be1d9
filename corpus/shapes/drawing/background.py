"""Backgrounds: six families of texture, still or drifting, and muted so that every actor stands out."""

from math import pi

import cv2
import numpy as np
from numpy.typing import NDArray

from corpus.shapes.scene import Background, Kind

FAMILIES = ("plain", "waves", "checks", "stripes", "grain", "spots")
_MOVING_SHARE = 0.5
_CONTRAST = 16.0  # of the texture, in grey levels


def draw_background(rng: np.random.Generator, kinds: list[Kind], *, bias: float) -> Background:
    """Choose a background that fits the first kind of event with probability `bias`, otherwise any background."""
    family = home_of(kinds[0]) if rng.random() < bias else str(rng.choice(FAMILIES))
    return _draw_details(rng, family)


def swap_background(rng: np.random.Generator, background: Background, kinds: list[Kind]) -> Background:
    """Choose a background of another family, preferably one that fits none of the kinds of event."""
    others = [family for family in FAMILIES if family != background.family]
    strange = [family for family in others if family not in {home_of(kind) for kind in kinds}]
    return _draw_details(rng, str(rng.choice(strange or others)))


def home_of(kind: Kind) -> str:
    """Return the texture family of a kind of event; two kinds share one."""
    return FAMILIES[list(Kind).index(kind) // 2]


def build_texture(background: Background, size_px: int) -> NDArray[np.uint8]:
    """Return one period of the background: (size, size, 3) RGB that continues at its edges."""
    rng = np.random.default_rng([background.seed])
    base = rng.uniform(65, 130) + rng.uniform(-14, 14, size=3)
    pattern = _build_pattern(rng, background.family, size_px)
    return np.clip(base + _CONTRAST * pattern[..., None], 0, 255).astype(np.uint8)


def shift_texture(texture: NDArray[np.uint8], background: Background, time_s: float) -> NDArray[np.uint8]:
    """Return the background at a time, as a new array."""
    if background.drift == (0.0, 0.0):
        return texture.copy()
    size = len(texture)
    x, y = (drift * time_s * size for drift in background.drift)
    way = np.array([[1, 0, x % size], [0, 1, y % size]], dtype=np.float64)
    return np.asarray(cv2.warpAffine(texture, way, (size, size), borderMode=cv2.BORDER_WRAP), dtype=np.uint8)


def _draw_details(rng: np.random.Generator, family: str) -> Background:
    seed = int(rng.integers(2**31))
    angle, speed = rng.uniform(0, 2 * pi), rng.uniform(0.03, 0.1)
    if family == "plain" or rng.random() >= _MOVING_SHARE:
        return Background(family, seed)
    return Background(family, seed, (float(speed * np.cos(angle)), float(speed * np.sin(angle))))


def _build_pattern(rng: np.random.Generator, family: str, size: int) -> NDArray[np.float64]:
    """Return values in about [-1, 1]: (size, size)."""
    y, x = np.mgrid[0:size, 0:size] / size  # in widths
    count = int(rng.integers(3, 6))
    pattern = np.zeros((size, size))
    if family == "waves":
        pattern += np.sin(2 * pi * (count // 2 * x + 0.3 * np.sin(2 * pi * y))) * np.cos(2 * pi * y)
    elif family == "checks":
        pattern += np.sign(np.sin(2 * pi * count * (x + 1e-6)) * np.sin(2 * pi * count * (y + 1e-6)))
    elif family == "stripes":
        across = x + y if rng.random() < 0.5 else x - y
        pattern += np.sign(np.sin(2 * pi * (count + 1) * across + 0.1))
    elif family == "grain":
        coarse = np.clip(0.6 * rng.normal(size=(16, 16)), -1.5, 1.5)
        pattern += np.kron(coarse, np.ones((size // 16, size // 16)))
    elif family == "spots":
        centre = rng.uniform(0, 1, size=(6 * count, 2))
        away = np.abs(np.stack([x, y], axis=-1)[:, :, None] - centre)  # (size, size, spots, 2)
        distance = np.hypot(*np.moveaxis(np.minimum(away, 1 - away), -1, 0)).min(axis=-1)
        pattern += np.where(distance < 0.045, 1.0, -0.4)
    return pattern

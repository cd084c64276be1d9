"""Augmentation of clips that preserves their content: shift, brightness, mirroring.

Letters: B clips, K frames, H height, W width.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt

from corpus.params import Params

Frames = NDArray[np.uint8]


class AugmentationParams(Params):
    """Strengths of the augmentations; 0 turns one off."""

    shift_px: NonNegativeInt = 4  # maximum along both axes; edge pixels are repeated
    brightness: float = Field(default=0.2, ge=0, lt=1)  # pixels are multiplied by 1 - brightness .. 1 + brightness
    flip_probability: float = Field(default=0.5, ge=0, le=1)


def shift_clips(frames: Frames, *, max_px: int, generator: np.random.Generator) -> Frames:
    """Shift every clip of (B, K, H, W, 3) by its own offset, equal for all its frames."""
    if max_px == 0:
        return frames
    height, width = frames.shape[2:4]
    padded = np.pad(frames, ((0, 0), (0, 0), (max_px, max_px), (max_px, max_px), (0, 0)), mode="edge")
    offsets = generator.integers(0, 2 * max_px + 1, size=(len(frames), 2))
    moved = [clip[:, y : y + height, x : x + width] for clip, (y, x) in zip(padded, offsets, strict=True)]
    return np.stack(moved)


def brighten_clips(frames: Frames, *, amount: float, generator: np.random.Generator) -> Frames:
    """Multiply every clip of (B, K, H, W, 3) by its own factor, equal for all its frames; values saturate at 255."""
    if amount == 0:
        return frames
    factors = generator.uniform(1 - amount, 1 + amount, size=len(frames))
    tables = np.clip(np.round(np.arange(256) * factors[:, None]), 0, 255).astype(np.uint8)  # (B, 256)
    return np.stack([table[clip] for table, clip in zip(tables, frames, strict=True)])


def flip_clips(frames: Frames, flipped: NDArray[np.bool_]) -> Frames:
    """Mirror all frames of the clips marked in `flipped` (B,)."""
    return np.where(flipped[:, None, None, None, None], frames[:, :, :, ::-1], frames)

"""Views of a video's frames: each frame as several squares, for classifiers that look at a picture more than once.

Letters: S frames of a video, V views of a frame, H = W = `size_px`.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import numpy as np
from av.video.frame import VideoFrame
from pydantic import Field, PositiveFloat, PositiveInt

from corpus.media.clip_grid import count_clips
from corpus.media.pictures.displayed import Display
from corpus.media.pictures.preparation import PicturePreparation
from corpus.media.pictures.scaling import Scaler
from corpus.media.pictures.upright import Images
from corpus.params import Params


class View(Params):
    """One square of a frame: scaled as a `PicturePreparation` says, and of that the middle."""

    resize: Literal["stretch", "crop", "pad"]
    share: float = Field(default=1.0, gt=0, le=1)  # of the scaled square's side that is cut out of its middle
    interpolation: Literal["fast_bilinear", "bilinear", "bicubic"] = "bicubic"


class ViewSampling(Params):
    """Sampling of frames and their views. Frame i of a video is the one on display at (i + 0.5) / frame_rate_hz seconds."""

    frame_rate_hz: PositiveFloat
    size_px: PositiveInt
    views: tuple[View, ...] = Field(min_length=1)
    # Frames whose views differ less, in levels, from those of the frame encoded last reuse its features: see `near_duplicates`.
    reuse_below: float = Field(default=0.0, ge=0, le=255, exclude_if=lambda value: value == 0)


def iter_views(
    display: Display, sampling: ViewSampling, *, duration_s: float, frames_per_batch: int, first_frame: int = 0
) -> Iterator[Images]:
    """Yield the frames of a video in order, as batches (n, V, H, W, 3) uint8 with n <= `frames_per_batch`, in one decoding pass.

    `display` gives the frames of the video, as `partial(iter_displayed, path)` or `ExaminedFile.iter_displayed` do.
    There are as many frames as `count_clips(duration_s, sampling.frame_rate_hz)`; those before `first_frame` are left out.

    Raises:
        FileNotFoundError: naming a file that is not there.
        UndecodableError: naming the file and why it cannot be decoded.
    """
    num_frames = count_clips(duration_s, sampling.frame_rate_hz)
    times_s = np.minimum((np.arange(first_frame, num_frames) + 0.5) / sampling.frame_rate_hz, np.nextafter(duration_s, 0.0))
    viewers = [_Viewer(view, sampling.size_px) for view in sampling.views]
    waiting: list[Images] = []
    for shown in display(times_s):
        views = np.stack([viewer.look(shown.frame, shown.pixel_aspect) for viewer in viewers])  # (V, H, W, 3)
        for _ in range(shown.first, shown.end):
            waiting.append(views)
            if len(waiting) == frames_per_batch:
                yield np.stack(waiting)
                waiting = []
    if waiting:
        yield np.stack(waiting)


class _Viewer:
    """Cuts one view out of frames."""

    def __init__(self, view: View, size_px: int) -> None:
        side_px = round(size_px / view.share)
        self._scaler = Scaler(side_px, PicturePreparation(resize=view.resize, interpolation=view.interpolation))
        self._first, self._end = (side_px - size_px) // 2, (side_px - size_px) // 2 + size_px

    def look(self, frame: VideoFrame, pixel_aspect: Fraction) -> Images:
        """Return (size_px, size_px, 3)."""
        image = self._scaler.scale(frame, pixel_aspect)
        return image[self._first : self._end, self._first : self._end]

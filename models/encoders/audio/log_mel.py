"""Log-mel spectrogram with fixed weights: one vector per clip of sound, nothing is learned.

Letters: S clips, T samples of a clip, F frames, n samples of a frame, K bins, M bands, J steps, D width.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from corpus.media import SoundSampling
from models.contracts.roles import SoundEncoder, SoundEncoderParams
from models.encoders.audio.mel_scale import Floats, compute_filters


class LogMel(SoundEncoder):
    """Mean level of each mel band in J steps of the clip, and the deviation of each band's level over the clip.

    The width is D = (J + 1) * M: the bands of step 0, of step 1, ..., then the deviations. Levels are decibels of full scale:
    a sine of amplitude 1 in the centre of a band has 0 dB there. Silence always gives the same vector.

    Source: the log-mel front end of VGGish (Hershey et al. 2017, arXiv:1609.09430, section 3.1), with mel filters of HTK.
    Deviations: power instead of magnitude; decibels with a floor instead of log(x + 0.01), which would compress quiet sound;
    frames of 40 ms instead of 25 ms, for bins of 25 Hz that resolve low tones; bands from 60 Hz instead of 125 Hz; no network:
    the means of steps keep the time of a short tone, and the deviation detects tremolo faster than the steps.
    """

    framing: Tensor
    filters: Tensor
    steps: Tensor

    def __init__(self, params: "LogMelParams") -> None:
        """Compute the fixed weights."""
        super().__init__()
        self.sampling = params.sampling
        self.hop = params.hop
        self.floor_db, self.mean_db, self.scale_db = params.floor_db, params.mean_db, params.scale_db
        filters = params.compute_filters()  # (M, bins)
        used = np.flatnonzero(filters.any(axis=0))  # (K,)
        self.register_buffer("framing", _build_framing(params.frame, used))  # (2 * K, 1, n)
        self.register_buffer("filters", _to_float32(filters[:, used]))  # (M, K)
        self.register_buffer("steps", _build_steps(params.num_frames, params.num_steps))  # (F, J)

    def forward(self, clips: Tensor) -> Tensor:
        """Encode (S, T) float32 in [-1, 1] into (S, 1, D) float32.

        Raises:
            ValueError: when T differs from the number of samples of a clip.
        """
        if clips.shape[-1] != self.sampling.num_samples:
            raise ValueError(f"log_mel reads clips of {self.sampling.num_samples} samples, got {clips.shape[-1]}")
        real, imaginary = F.conv1d(clips[:, None], self.framing, stride=self.hop).chunk(2, dim=1)  # (S, K, F) each
        bands = torch.matmul(self.filters, real.square() + imaginary.square())  # (S, M, F)
        levels_db = 10 * torch.log10(bands.clamp(min=10 ** (self.floor_db / 10)))  # (S, M, F)
        means = (torch.matmul(levels_db, self.steps) - self.mean_db) / self.scale_db  # (S, M, J)
        middle_db = levels_db.mean(dim=2, keepdim=True)
        deviations = (levels_db - middle_db).square().mean(dim=2, keepdim=True).sqrt() / self.scale_db  # (S, M, 1)
        return torch.cat([means, deviations], dim=2).transpose(1, 2).flatten(1)[:, None]  # (S, 1, D)


def _build_framing(frame: int, bins: NDArray[np.int64]) -> Tensor:
    """Return a Hann window times cosines and sines, (2 * K, 1, n): convolution kernels that cut and transform frames.

    The scale gives a sine of amplitude 1 at a bin the power 1 there.
    """
    time = np.arange(frame)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / frame)  # periodic, like all analysis windows
    angles = 2 * np.pi * bins[:, None] * time / frame  # (K, n)
    waves = np.concatenate([np.cos(angles), np.sin(angles)])  # (2 * K, n)
    return _to_float32(waves * window * (2 / window.sum()))[:, None]


def _build_steps(num_frames: int, num_steps: int) -> Tensor:
    """Return the share that each frame has in the mean of each of J equal steps, (F, J); columns sum to 1."""
    edges = np.arange(num_steps + 1) * num_frames / num_steps  # (J + 1,) in frames
    starts = np.arange(num_frames)[:, None]  # (F, 1)
    overlaps = np.minimum(edges[1:], starts + 1) - np.maximum(edges[:-1], starts)  # (F, J)
    return _to_float32(np.maximum(0, overlaps) * num_steps / num_frames)


def _to_float32(values: Floats) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


class LogMelParams(SoundEncoderParams):
    """Values of `LogMel`. Every band contains a bin, and every step a frame."""

    name: Literal["log_mel"]
    sampling: SoundSampling
    frame_s: PositiveFloat = 0.04
    hop_s: PositiveFloat = 0.01  # between the starts of two frames
    num_bands: PositiveInt = 64
    min_hz: NonNegativeFloat = 60.0
    max_hz: PositiveFloat = 7600.0
    num_steps: PositiveInt = 8  # of a clip
    floor_db: float = Field(default=-80.0, lt=0)  # relative to full scale; quieter sound counts as silence
    mean_db: float = -50.0
    scale_db: PositiveFloat = 20.0  # levels become (level - mean_db) / scale_db

    @property
    def frame(self) -> int:
        """n, the number of samples of a frame."""
        return round(self.frame_s * self.sampling.rate_hz)

    @property
    def hop(self) -> int:
        """The number of samples between the starts of two frames."""
        return round(self.hop_s * self.sampling.rate_hz)

    @property
    def num_frames(self) -> int:
        """F, the number of frames within a clip."""
        return 1 + (self.sampling.num_samples - self.frame) // self.hop

    def compute_filters(self) -> Floats:
        """Return the filters over all bins of a frame, (M, n // 2 + 1) float64."""
        bins_hz = np.arange(self.frame // 2 + 1) * self.sampling.rate_hz / self.frame
        return compute_filters(bins_hz, num_bands=self.num_bands, min_hz=self.min_hz, max_hz=self.max_hz)

    def model_post_init(self, _: object) -> None:
        """Refuse frames that do not fit the sampling, and bands without a bin."""
        if min(self.frame, self.hop) < 1 or self.frame > self.sampling.num_samples:
            raise ValueError(
                f"log_mel needs frames and hops of at least a sample that fit into sampling.window_s = {self.sampling.window_s}, "
                f"got frame_s = {self.frame_s}, hop_s = {self.hop_s}"
            )
        if self.num_steps > self.num_frames:
            raise ValueError(
                f"log_mel needs a frame for each step, got num_steps = {self.num_steps} and {self.num_frames} frames"
            )
        if not self.min_hz < self.max_hz <= self.sampling.rate_hz / 2:
            raise ValueError(
                f"log_mel needs min_hz < max_hz <= half of sampling.rate_hz = {self.sampling.rate_hz}, "
                f"got {self.min_hz} and {self.max_hz}"
            )
        empty = int((~self.compute_filters().any(axis=1)).sum())
        if empty:
            raise ValueError(
                f"log_mel needs a bin in every band, but {empty} of {self.num_bands} have none: choose fewer num_bands, "
                f"a higher min_hz, or a longer frame_s than {self.frame_s}"
            )

    def build(self) -> LogMel:
        """Return the encoder; it needs no training."""
        return LogMel(self)

"""What a pretraining objective must do, and the training values that every objective brings.

Letters: B clips of a batch, K frames of a clip, H height, W width, Q sentences.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from corpus.params import Params
from corpus.text import Tokenizer
from models.exchange.roles import TextEncoder, VideoEncoder


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """Clips of a few videos, and the sentences that are true in them."""

    frames: NDArray[np.uint8]  # (B, K, H, W, 3)
    texts: tuple[str, ...]  # Q sentences, each once
    covers: NDArray[np.bool_]  # (Q, B), True where the clip lies in a moment of the sentence


class ObjectiveStep(NamedTuple):
    """The loss of one batch and the figures worth plotting."""

    loss: Tensor  # scalar
    figures: dict[str, Tensor]  # name -> scalar


class Objective(nn.Module, ABC):
    """Owns the encoders while they learn. In training mode it augments what it reads; in evaluation mode it does not."""

    def __init__(self, video: VideoEncoder, text: TextEncoder) -> None:
        """Store the encoders."""
        super().__init__()
        self.video = video
        self.text = text

    @abstractmethod
    def reads(self, text: str) -> bool:
        """Tell whether this objective learns from a sentence."""

    @abstractmethod
    def forward(self, batch: ClipBatch, generator: np.random.Generator) -> ObjectiveStep:
        """Return the loss of a batch; all randomness comes from `generator`."""

    def encode_clips(self, frames: NDArray[np.uint8]) -> Tensor:
        """Encode clips one by one: (B, K, H, W, 3) -> (B, P, D)."""
        device = next(self.video.parameters()).device
        features: Tensor = self.video(torch.from_numpy(frames.reshape(1, -1, *frames.shape[2:])).to(device))
        return features[0]


class Schedule(Params):
    """How long and how fast an objective learns. An epoch visits every training video once."""

    epochs: PositiveInt
    min_steps: NonNegativeInt = 0  # a small corpus gets more epochs until it has this many steps
    videos_per_batch: PositiveInt = 4
    clips_per_video: int = Field(default=20, ge=2)  # half of them in moments of sentences, where the video has so many
    learning_rate: PositiveFloat = 5e-3  # of AdamW
    weight_decay: NonNegativeFloat = 0.01
    warmup_share: float = Field(default=0.05, ge=0, lt=1)  # of the steps; a cosine to zero follows
    ema_decay: float = Field(default=0.998, ge=0, lt=1)  # of the average of the weights, which is what is kept

    def count_epochs(self, num_videos: int) -> int:
        """Return the epochs for this many training videos."""
        steps = self.count_steps_per_epoch(num_videos)
        return max(self.epochs, -(-self.min_steps // steps))

    def count_steps_per_epoch(self, num_videos: int) -> int:
        """Return the steps of one epoch; the last may have fewer videos."""
        return -(-num_videos // self.videos_per_batch)


class ObjectiveParams(Params, ABC):
    """Schema shared by all objectives. Without a schedule nothing is learned."""

    schedule: Schedule | None = None

    @abstractmethod
    def build(self, video: VideoEncoder, text: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> Objective | None:
        """Return the objective around both encoders; `texts` are all training sentences. None where nothing is learned."""

"""Interface of pretraining objectives, and their common training values.

Letters: B clips of a batch, V videos of a batch, K frames of a clip, H height, W width, P places, D width, Q sentences, L tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from corpus.params import Params
from models.contracts.roles import TextStart, VideoEncoder
from models.training.schema import LoopParams


class ClipBatch(NamedTuple):
    """Clips of a few videos with their origin, and the sentences that are true in them."""

    frames: NDArray[np.uint8]  # (B, K, H, W, 3)
    video_ids: tuple[str, ...]  # V videos
    video_index: NDArray[np.int64]  # (B,), index of each clip's video in `video_ids`
    spans_s: NDArray[np.float64]  # (B, 2), start and end of each clip's own time in its video, without overlap
    texts: tuple[str, ...]  # Q distinct sentences
    covers: NDArray[np.bool_]  # (Q, B), True if the clip lies in a moment of the sentence


class ObjectiveStep(NamedTuple):
    """The loss of one batch, and figures for plots."""

    loss: Tensor  # scalar
    figures: dict[str, Tensor]  # name -> scalar


class Objective(nn.Module, ABC):
    """Pretraining objective. It owns the video encoder during training, and its own state: projector, teacher, queue, clusters.

    It augments its inputs in training mode only. All state that must survive an interruption lies in parameters and buffers.
    """

    def __init__(self, video: VideoEncoder) -> None:
        """Store the video encoder."""
        super().__init__()
        self.video = video

    def reads(self, text: str) -> bool:
        """Tell whether this objective learns from a sentence. An objective without a text encoder learns from none."""
        return False

    @abstractmethod
    def forward(self, batch: ClipBatch, generator: np.random.Generator) -> ObjectiveStep:
        """Return the loss of a batch; all randomness comes from `generator` or torch's global one."""

    def act_after_step(self, share_done: float) -> None:  # noqa: B027 - most objectives do nothing then
        """Update a teacher, queue or clusters after an optimizer step. `share_done`, in (0, 1], is the progress of training."""

    def encode_clips(self, frames: NDArray[np.uint8], hidden: Tensor | None = None) -> Tensor:
        """Encode clips one by one: (B, K, H, W, 3) -> (B, P, D) float32, without the pixels of `hidden` places (B, P)."""
        device = next(self.video.parameters()).device
        pixels = torch.from_numpy(frames.reshape(1, -1, *frames.shape[2:])).to(device)
        features: Tensor = self.video(pixels) if hidden is None else self.video.encode_visible(pixels, hidden[None])
        return features[0].float()


class ObjectiveTraining(LoopParams):
    """Training values of an objective. An epoch visits every training video once; the last epoch is kept."""

    min_steps: NonNegativeInt = 0  # lower bound of batches; a small corpus gets more epochs
    videos_per_batch: PositiveInt = 8
    clips_per_video: int = Field(default=10, ge=2)  # half of them in moments of sentences, if the video has enough
    validation_interval: PositiveInt = 1  # epochs between validations; the last epoch is always validated

    def count_epochs(self, num_videos: int) -> int:
        """Return the number of epochs for this many training videos."""
        return max(self.max_epochs, -(-self.min_steps // self.count_batches(num_videos)))

    def count_batches(self, num_videos: int) -> int:
        """Return the number of batches of one epoch; the last may have fewer videos."""
        return -(-num_videos // self.videos_per_batch)


class ObjectiveParams(Params, ABC):
    """Schema shared by all objectives. Without `training`, nothing is learned."""

    reads_sentences: ClassVar[bool] = False  # whether `build` needs the text encoder, and trains it
    training: ObjectiveTraining | None = None

    @abstractmethod
    def build(self, video: VideoEncoder, text: TextStart | None, texts: Sequence[str]) -> Objective | None:
        """Return the objective around the video encoder, None if nothing is learned.

        `text` is the text encoder with its tokenizer if `reads_sentences`, else None. `texts` are all training sentences.
        """

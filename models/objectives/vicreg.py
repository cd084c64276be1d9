"""Self-supervised pretraining by VICReg: matches two views of a clip without sentences, and prevents collapse.

Letters: B clips, P places, D width of a clip vector, E width of an embedding.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.roles import TextStart, VideoEncoder
from models.objectives.augmentation import AugmentationParams, brighten_clips, flip_clips, shift_clips
from models.objectives.base import ClipBatch, Objective, ObjectiveParams, ObjectiveStep, ObjectiveTraining
from models.training.precision import single_precision

_EPSILON = 1e-4  # inside the square root of the standard deviation, as in the paper


class VICRegParts(NamedTuple):
    """The three terms, unweighted."""

    invariance: Tensor
    variance: Tensor
    covariance: Tensor


def compute_vicreg(first: Tensor, second: Tensor) -> VICRegParts:
    """Compare two views of B clips, (B, E) each, B >= 2.

    Source: Bardes et al. 2022 (arXiv:2105.04906), eq. 1-4 with gamma 1; the variance term is the mean over both views, the
    covariance term their sum, as in the authors' code.
    """
    return VICRegParts(
        invariance=F.mse_loss(first, second),
        variance=(_compute_variance(first) + _compute_variance(second)) / 2,
        covariance=_compute_covariance(first) + _compute_covariance(second),
    )


def _compute_variance(embeddings: Tensor) -> Tensor:
    return torch.relu(1 - torch.sqrt(embeddings.var(dim=0) + _EPSILON)).mean()


def _compute_covariance(embeddings: Tensor) -> Tensor:
    centred = embeddings - embeddings.mean(dim=0)
    covariance = centred.T @ centred / (len(embeddings) - 1)  # (E, E)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / embeddings.shape[1]


class VICRegObjective(Objective):
    """VICReg on two augmented views of the same clip, on the mean of its places.

    Source: Bardes et al. 2022 (arXiv:2105.04906). Deviations: the projector is narrow (the paper has three layers of
    8192), the optimizer is AdamW instead of LARS, batches hold tens of clips instead of 2048, and views differ only by shift,
    brightness and mirroring, because cropping and colour jitter would remove the content of sentences.
    """

    def __init__(self, video: VideoEncoder, params: "VICRegParams") -> None:
        """Build the projector with weights from torch's global generator; its first layer adapts to the clip vectors."""
        super().__init__(video)
        self.params = params
        feature_dim = self._find_feature_dim()
        self.projector = nn.Sequential(
            nn.Linear(feature_dim, params.projector_dim, bias=False),
            nn.BatchNorm1d(params.projector_dim),
            nn.ReLU(),
            nn.Linear(params.projector_dim, params.projector_dim, bias=False),
        )

    def forward(self, batch: ClipBatch, generator: np.random.Generator) -> ObjectiveStep:
        """Return the loss of two views of every clip; both views are augmented in evaluation mode too."""
        if len(batch.frames) < 2:
            raise ValueError(
                f"vicreg needs at least 2 clips in a batch, got {len(batch.frames)}; raise training.videos_per_batch"
            )
        first = self._embed(self._make_view(batch.frames, generator))
        second = self._embed(self._make_view(batch.frames, generator))
        with single_precision(first.device):
            parts = compute_vicreg(first.float(), second.float())
        weights = (self.params.invariance_weight, self.params.variance_weight, self.params.covariance_weight)
        loss = torch.stack([weight * part for weight, part in zip(weights, parts, strict=True)]).sum()
        return ObjectiveStep(loss, {name: part.detach() for name, part in parts._asdict().items()})

    def _embed(self, frames: NDArray[np.uint8]) -> Tensor:
        embeddings: Tensor = self.projector(self.encode_clips(frames).mean(dim=1))
        return embeddings  # (B, E)

    def _make_view(self, frames: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
        values = self.params.augmentation
        frames = shift_clips(frames, max_px=values.shift_px, generator=generator)
        frames = brighten_clips(frames, amount=values.brightness, generator=generator)
        return flip_clips(frames, generator.random(len(frames)) < values.flip_probability)

    @torch.no_grad()
    def _find_feature_dim(self) -> int:
        sampling = self.video.sampling
        clip = np.zeros((1, len(sampling.offsets_s), sampling.size_px, sampling.size_px, 3), dtype=np.uint8)
        return self.encode_clips(clip).shape[-1]


class VICRegParams(ObjectiveParams):
    """Values of `VICRegObjective`; the weights are the paper's."""

    name: Literal["vicreg"]
    invariance_weight: NonNegativeFloat = 25.0
    variance_weight: NonNegativeFloat = 25.0
    covariance_weight: NonNegativeFloat = 1.0
    projector_dim: PositiveInt = 256
    augmentation: AugmentationParams = AugmentationParams()
    training: ObjectiveTraining

    def build(self, video: VideoEncoder, text: TextStart | None, texts: Sequence[str]) -> VICRegObjective:
        """Return the objective around the video encoder; it reads no sentences."""
        return VICRegObjective(video, self)

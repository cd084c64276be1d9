"""SoftTriple: softmax loss over classes with several centres each, chosen softly.

Letters: C classes, K centres of a class, E embedding width.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.labelled import LabelledRows, LabelledTerm, ProxyTermParams


class SoftTripleLoss(LabelledTerm):
    """Cross entropy on scale * (S_c - margin at the own class), plus a regulariser that merges the centres of a class.

    S_c = sum_k softmax_k(x.w_ck / gamma) x.w_ck over the K unit centres of class c; the second part is
    centre_weight / (C K (K - 1)) * sum over classes and pairs of centres of |w_s - w_t|.
    Source: Qian et al. 2019 (arXiv:1909.05235), eqs. 7-9. pytorch-metric-learning computes the first part, but not the second:
    the gradient of its regulariser is not finite at equal centres.
    """

    def __init__(self, params: "SoftTripleParams", *, num_classes: int, embedding_dim: int) -> None:
        """Start from random centres."""
        from pytorch_metric_learning.losses import SoftTripleLoss as Library

        super().__init__(params.choose_reading())
        self.library = Library(
            num_classes,
            embedding_dim,
            centers_per_class=params.centers_per_class,
            la=params.scale,
            gamma=params.gamma,
            margin=params.margin,
        )
        self.center_weight = params.center_weight

    def compute(self, rows: LabelledRows) -> Tensor:
        """Return a scalar."""
        value: Tensor = self.library(rows.vectors, rows.classes)
        return value + self.center_weight * self.measure_spread()

    def measure_spread(self) -> Tensor:
        """Return half the mean distance between the centres of a class, 0 with a single centre."""
        num_centers = self.library.centers_per_class
        units = F.normalize(self.library.fc.T, dim=-1)
        centers = units.reshape(-1, num_centers, units.shape[-1])  # (C, K, E)
        first, second = torch.triu_indices(num_centers, num_centers, offset=1)
        distances = torch.linalg.vector_norm(centers[:, first] - centers[:, second], dim=-1)  # (C, pairs), gradient 0 at 0
        spread: Tensor = distances.sum() / max(2 * distances.numel(), 1)
        return spread


class SoftTripleParams(ProxyTermParams):
    """Values of SoftTriple; the defaults are the paper's."""

    name: Literal["soft_triple"]
    centers_per_class: PositiveInt = 10
    scale: PositiveFloat = 20.0
    gamma: PositiveFloat = 0.1  # near 0, only the nearest centre counts
    margin: NonNegativeFloat = 0.01
    center_weight: NonNegativeFloat = 0.2

    def build(self, dims: LossDims) -> SoftTripleLoss:
        """Return the loss with random centres."""
        return SoftTripleLoss(self, num_classes=self.count_classes(dims), embedding_dim=self.require_embeddings(dims))

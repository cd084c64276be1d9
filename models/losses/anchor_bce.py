"""Anchor loss: binary cross entropy that weighs negatives by their closeness to the score of the best candidate.

Letters: B rows, M candidates.
"""

from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.base import LossTerm, TermParams


class AnchorBCELoss(LossTerm):
    """Anchor loss on candidates: -log p_t plus the modulated -log(1 - p_j) of non-targets, averaged over rows, in nats.

    p = sigmoid(score). The target t of a row is its valid candidate of highest IoU. Its non-targets are the other valid
    candidates with IoU below `min_iou`; the rest is ignored. With `anchor="neg"` a non-target is multiplied by
    (1 + p_j - p*)^gamma, p* = max(p_t - slack, 0); with `anchor="pos"` the target is multiplied by (1 - p_t + p*)^gamma, p* =
    min(max_j p_j + slack, 1), and non-targets stay plain. No gradient flows through p*. During the `warmup_epochs`, and with
    gamma 0, it is the plain sum.
    Source: Ryou et al. 2019 (arXiv:1909.11155), section 3. Deviation: target and non-targets are candidates of a video
    instead of classes.
    """

    inputs = ("scores", "iou", "valid", "epoch")

    def __init__(
        self, *, gamma: float, slack: float, anchor: Literal["neg", "pos"], min_iou: float, warmup_epochs: float
    ) -> None:
        """Store the values."""
        super().__init__()
        self.gamma = gamma
        self.slack = slack
        self.anchor = anchor
        self.min_iou = min_iou
        self.warmup_epochs = warmup_epochs

    def forward(self, scores: Tensor, iou: Tensor, valid: Tensor, epoch: float) -> Tensor:
        """Return a scalar from logits, IoU and validity, each (B, M), and finished epochs; 0 without valid candidates."""
        best = iou.masked_fill(~valid, -1.0).argmax(1, keepdim=True)  # (B, 1)
        others = (valid & (iou < self.min_iou)).scatter(1, best, False)  # (B, M)
        target = scores.gather(1, best)  # (B, 1)
        at_target, at_others = self._modulate(target, scores, others) if epoch >= self.warmup_epochs else (1.0, 1.0)
        losses = at_target * F.softplus(-target) + (at_others * F.softplus(scores) * others).sum(1, keepdim=True)
        rows = valid.any(1, keepdim=True)
        return (losses * rows).sum() / rows.sum().clamp_min(1)

    def _modulate(self, target: Tensor, scores: Tensor, others: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """Return the factors of the target (B, 1) and of the non-targets (B, M)."""
        near_0 = torch.finfo(scores.dtype).eps  # the power has no finite gradient at 0
        if self.anchor == "neg":
            anchor = (torch.sigmoid(target) - self.slack).clamp_min(0).detach()
            return 1.0, (1 + torch.sigmoid(scores) - anchor).clamp_min(near_0) ** self.gamma
        hardest = torch.sigmoid(scores).masked_fill(~others, 0.0).amax(1, keepdim=True)
        anchor = (hardest + self.slack).clamp_max(1).detach()
        return (1 - torch.sigmoid(target) + anchor).clamp_min(near_0) ** self.gamma, 1.0


class AnchorBCEParams(TermParams):
    """Values of the anchor loss; the defaults of gamma and slack are the paper's."""

    name: Literal["anchor_bce"]
    gamma: NonNegativeFloat = 0.5
    slack: float = Field(default=0.05, ge=0, lt=1)
    anchor: Literal["neg", "pos"] = "neg"
    min_iou: float = Field(default=0.5, gt=0, le=1)
    warmup_epochs: NonNegativeFloat = 0.0

    def build(self, dims: LossDims) -> AnchorBCELoss:
        """Return the loss."""
        return AnchorBCELoss(**self.model_dump(exclude={"name", "weight"}))

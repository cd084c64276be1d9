"""Set-prediction loss: matches each true moment with one candidate; all other candidates are background.

Letters: B rows, M candidates, G true moments, K matched pairs.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import Candidates, LossDims, Targets
from models.layers.spans import compute_generalized_iou
from models.losses.base import LossTerm, TermParams

PARTS = ("span", "generalized_iou", "class", "align")


class Pairs(NamedTuple):
    """Matched pairs as row, candidate and true moment, (K,) each."""

    row: Tensor
    candidate: Tensor
    moment: Tensor


class HungarianSetLoss(LossTerm):
    """Loss of matched pairs and of the class of every candidate, summed over decoder layers.

    Spans are fractions of the video. The matching minimises `span_weight` * L1 of (centre, width) +
    `generalized_iou_weight` * (1 - gIoU) - `class_weight` * p(foreground). Per layer the loss is `span_weight` * mean L1
    (over both numbers) + `generalized_iou_weight` * mean (1 - gIoU), over all matched pairs of the batch, +
    `class_weight` * mean over all valid candidates of the cross entropy of foreground and background, with background
    weighted by `background_weight`. `align_weight` adds the weighted mean, over rows with a true moment, of logsumexp(a) -
    mean(a of matched candidates), with a = `features` @ `query` / `align_temperature` over the candidates of a row.
    Source: Moment-DETR (arXiv:2107.09609), section 4, and the authors' `SetCriterion` and `HungarianMatcher`, after DETR
    (arXiv:2005.12872). Deviations: one score per candidate replaces the difference of both logits; a batch without true
    moments has only the class loss; matching and loss share the same weights, as in the authors' settings.
    """

    inputs = ("candidates", "targets", "duration_s")

    def __init__(self, params: "HungarianSetParams") -> None:
        """Store the weights."""
        super().__init__()
        self.params = params
        self._tracked: list[Tensor] = []  # (4,) per batch, from the last layer

    def forward(self, candidates: Candidates, targets: Targets, duration_s: Tensor) -> Tensor:
        """Return a scalar; each layer of `auxiliary` candidates has its own matching and loss.

        Raises:
            ValueError: when `align_weight` > 0 and candidates have no vectors.
        """
        true = _normalize(targets.spans, duration_s)  # (B, G, 2)
        parts = [self._judge(layer, true, targets.mask, duration_s) for layer in (candidates, *candidates.auxiliary)]
        self._tracked.append(parts[0].detach())
        chosen = self.params
        weights = (chosen.span_weight, chosen.generalized_iou_weight, chosen.class_weight, chosen.align_weight)
        return (torch.stack(parts).sum(0) * torch.tensor(weights, device=duration_s.device)).sum()

    def collect_report(self) -> dict[str, float]:
        """Return the mean unweighted parts of the last layer, and reset them."""
        tracked, self._tracked = self._tracked, []
        if not tracked:
            return {}
        means = torch.stack(tracked).double().mean(0).tolist()
        return {name: mean for name, mean in zip(PARTS, means, strict=True) if name != "align" or self.params.align_weight}

    def _judge(self, layer: Candidates, true: Tensor, mask: Tensor, duration_s: Tensor) -> Tensor:
        """Return the unweighted parts of one layer, (4,), in the order of `PARTS`."""
        spans = _normalize(layer.spans, duration_s)  # (B, M, 2)
        pairs = match(self._compute_cost(spans, layer.scores, true), layer.valid, mask)
        classes = self._compare_classes(layer, pairs)
        align = self._align(layer, pairs) if self.params.align_weight else torch.zeros_like(classes)
        if not len(pairs.row):
            return torch.stack([torch.zeros_like(classes), torch.zeros_like(classes), classes, align])
        found, wanted = spans[pairs.row, pairs.candidate], true[pairs.row, pairs.moment]  # (K, 2)
        distance = (to_centre_width(found) - to_centre_width(wanted)).abs().mean()
        overlap = compute_generalized_iou(found[:, None], wanted[:, None]).mean()
        return torch.stack([distance, 1 - overlap, classes, align])

    @torch.no_grad()
    def _compute_cost(self, spans: Tensor, scores: Tensor, true: Tensor) -> Tensor:
        """Return the cost of matching candidates (B, M, 2) with true moments (B, G, 2): (B, M, G)."""
        distance = (to_centre_width(spans)[:, :, None] - to_centre_width(true)[:, None]).abs().sum(-1)
        overlap = compute_generalized_iou(spans, true)
        chosen = self.params
        cost = chosen.span_weight * distance + chosen.generalized_iou_weight * (1 - overlap)
        return cost - chosen.class_weight * scores.sigmoid()[..., None]

    def _compare_classes(self, layer: Candidates, pairs: Pairs) -> Tensor:
        foreground = torch.zeros_like(layer.scores)
        foreground[pairs.row, pairs.candidate] = 1.0
        weights = torch.where(foreground > 0, 1.0, self.params.background_weight)
        losses = F.binary_cross_entropy_with_logits(layer.scores, foreground, weights, reduction="none")
        valid = layer.valid.to(losses.dtype)
        return (losses * valid).sum() / valid.sum().clamp_min(1)

    def _align(self, layer: Candidates, pairs: Pairs) -> Tensor:
        if layer.features is None or layer.query is None:
            raise ValueError(
                "hungarian_set with align_weight > 0 needs vectors of candidates and sentence; set align_dim of the model"
            )
        logits = torch.einsum("bme,be->bm", layer.features, layer.query) / self.params.align_temperature
        matched = torch.zeros_like(logits)
        matched[pairs.row, pairs.candidate] = 1.0
        count = matched.sum(1)
        losses = logits.masked_fill(~layer.valid, float("-inf")).logsumexp(1) - (logits * matched).sum(1) / count.clamp_min(1)
        return (losses * (count > 0)).sum() / (count > 0).sum().clamp_min(1)


def match(cost: Tensor, valid: Tensor, mask: Tensor) -> Pairs:
    """Return the cheapest assignment of valid candidates (B, M) to true moments (B, G) in each row, by cost (B, M, G).

    The number of pairs is the smaller of both counts. A non-finite cost counts as 0, so that the loss reports a diverged
    network.
    """
    table = torch.nan_to_num(cost, posinf=0.0, neginf=0.0).cpu().numpy()
    pairs = []
    for row, (costs, candidates, moments) in enumerate(zip(table, valid.cpu().numpy(), mask.cpu().numpy(), strict=True)):
        candidate_index, moment_index = np.flatnonzero(candidates), np.flatnonzero(moments)
        left, right = linear_sum_assignment(costs[np.ix_(candidate_index, moment_index)])
        pairs.append(np.stack([np.full_like(left, row), candidate_index[left], moment_index[right]]))
    found = torch.from_numpy(np.concatenate(pairs, axis=1)).to(cost.device)
    return Pairs(*found)


def to_centre_width(spans: Tensor) -> Tensor:
    """Convert (start, end) to (centre, width): (..., 2) -> (..., 2)."""
    start, end = spans.unbind(-1)
    return torch.stack([(start + end) / 2, end - start], dim=-1)


def _normalize(spans: Tensor, duration_s: Tensor) -> Tensor:
    return spans / duration_s[:, None, None]


class HungarianSetParams(TermParams):
    """Values of the set loss; the defaults are the authors'."""

    name: Literal["hungarian_set"]
    span_weight: NonNegativeFloat = 10.0
    generalized_iou_weight: NonNegativeFloat = 1.0
    class_weight: NonNegativeFloat = 4.0
    background_weight: float = Field(default=0.1, gt=0, le=1)  # of unmatched candidates, in the class loss
    align_weight: NonNegativeFloat = 0.0  # the authors use 0.02 when they use it
    align_temperature: PositiveFloat = 0.07

    def build(self, dims: LossDims) -> HungarianSetLoss:
        """Return the loss.

        Raises:
            ValueError: when `align_weight` > 0 and the model has no embeddings.
        """
        if self.align_weight and dims.embedding_dim is None:
            raise ValueError(
                "hungarian_set with align_weight > 0 needs embeddings, which this model does not give; set its align_dim"
            )
        return HungarianSetLoss(self)

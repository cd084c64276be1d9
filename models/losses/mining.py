"""Mining of triplets in a batch, and figures about them.

Letters: R vectors, T triplets, P pairs of one class, E embedding width.
"""

import warnings
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from models.losses.labelled import LabelledRows

MinerName = Literal["random", "semi_hard", "hardest", "distance_weighted"]
Mine = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]

COLLAPSED_STD, COLLAPSED_RANGE = 0.01, 1e-3
NUM_FIGURES = 9  # summed over batches


class Triplets(NamedTuple):
    """Indices of vectors, (T,) each."""

    anchors: Tensor
    positives: Tensor
    negatives: Tensor

    def keep(self, mask: Tensor) -> "Triplets":
        """Return the triplets selected by the mask (T,)."""
        return Triplets(*(part[mask] for part in self))


def build_miner(name: MinerName, margin: float) -> Mine:
    """Return a miner of pytorch-metric-learning: vectors (R, E) and classes (R,) to triplets; distances of unit vectors.

    random: one for each vector with a partner; semi_hard: all with d(a,p) < d(a,n) <= d(a,p) + margin; hardest: the farthest
    partner with the nearest vector of another class; distance_weighted: negatives drawn uniformly over distances between
    0.5 and 1.4 (Wu et al. 2017, arXiv:1706.07567).
    """
    from pytorch_metric_learning import miners
    from pytorch_metric_learning.utils.loss_and_miner_utils import get_random_triplet_indices

    known: dict[MinerName, Callable[[], Mine]] = {
        "random": lambda: lambda vectors, classes: get_random_triplet_indices(classes, t_per_anchor=1),
        "semi_hard": lambda: miners.TripletMarginMiner(margin=margin, type_of_triplets="semihard"),
        "hardest": miners.BatchHardMiner,
        "distance_weighted": miners.DistanceWeightedMiner,
    }
    return known[name]()


class MiningTracker:
    """Figures about the triplets of an epoch, and the warning about embeddings that collapsed into one point."""

    def __init__(self, margin: float) -> None:
        """Start with empty figures."""
        self.margin = margin
        self._steps: list[Tensor] = []

    @torch.no_grad()
    def record(self, rows: LabelledRows, mined: Triplets) -> None:
        """Add one batch and its mined triplets."""
        units = F.normalize(rows.vectors.detach(), dim=-1)
        distances = torch.cdist(units, units, compute_mode="donot_use_mm_for_euclid_dist")  # (R, R)
        suspected = rows.sentences[mined.anchors] == rows.sentences[mined.negatives]
        others = distances[~torch.eye(len(units), dtype=torch.bool, device=units.device)]
        judged = len(units) > 2  # two vectors have only one distance
        spread = others.amax() - others.amin() if judged else others.new_tensor(torch.inf)
        std = units.std(0).mean() if judged else units.new_tensor(torch.inf)
        self._steps.append(
            torch.stack(
                [
                    *self._count_kinds(distances, rows.classes),
                    distances.new_tensor(len(mined.anchors)),
                    distances[mined.anchors, mined.positives].sum(),
                    distances[mined.anchors, mined.negatives].sum(),
                    suspected.sum().to(distances),
                    distances.new_tensor(len(mined.anchors) == 0),
                    ((std < COLLAPSED_STD) | (spread < COLLAPSED_RANGE)).to(distances),
                ]
            ).double()
        )

    def _count_kinds(self, distances: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Count all triplets of a batch: negatives beyond the margin, within it, and nearer than the positive."""
        same = classes[:, None] == classes[None, :]
        anchors, positives = (same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)).nonzero(as_tuple=True)
        gaps = (distances[anchors] - distances[anchors, positives][:, None])[~same[anchors]]
        hard, easy = (gaps <= 0).sum(), (gaps > self.margin).sum()
        return easy.to(distances), (len(gaps) - easy - hard).to(distances), hard.to(distances)

    def report(self) -> dict[str, float]:
        """Return the figures since the last report and reset them; warn if most batches collapsed.

        easy, semi_hard, hard: numbers of available triplets; mined: number of used triplets; positive_distance and
        negative_distance: mean d(a,p) and d(a,n) of used triplets, 0 without any; suspected_false: the share of their
        negatives with the sentence of the anchor; empty: the share of batches without mined triplets; collapsed: 1 or 0.
        """
        table = torch.stack(self._steps) if self._steps else torch.zeros(1, NUM_FIGURES)
        easy, semi_hard, hard, mined, positive, negative, suspected, empty, collapsed = table.sum(0).tolist()
        self._steps = []
        has_collapsed = collapsed > len(table) / 2
        if has_collapsed:
            warnings.warn(
                "the embeddings have collapsed into one point: their mean standard deviation is below 0.01 or all distances "
                "are within 0.001; lower the learning rate, or mine semi_hard or distance_weighted instead of hardest",
                stacklevel=2,
            )
        return {
            "easy": easy,
            "semi_hard": semi_hard,
            "hard": hard,
            "mined": mined,
            "positive_distance": positive / max(mined, 1),
            "negative_distance": negative / max(mined, 1),
            "suspected_false": suspected / max(mined, 1),
            "empty": empty / len(table),
            "collapsed": float(has_collapsed),
        }

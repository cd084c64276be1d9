"""Average-precision loss by blackbox differentiation of ranks.

Letters: Q rankings, C items of a ranking.
"""

from typing import Literal

from torch import Tensor

from models.contracts.batches import LossDims
from models.layers.blackbox_rank import Ranks
from models.losses.blackbox import BlackboxParams, BlackboxTerm


class BlackboxMAPLoss(BlackboxTerm):
    """1 - mAP: 1 minus the mean over relevant items of (rank among the relevant / rank among all).

    Without margin, its value is exactly 1 - mean average precision.
    Source: Rolinek et al. 2020 (arXiv:1912.03500), section 3. Deviation: no memory of earlier batches, and no mixing of
    rankings of single classes with rankings of all.
    """

    def score_ranks(self, ranks: Ranks) -> Tensor:
        """Return 1 - precision at each item, (Q, C)."""
        return 1 - ranks.among_relevant / ranks.among_all


class BlackboxMAPParams(BlackboxParams):
    """Values of the average-precision loss."""

    name: Literal["blackbox_map"]

    def build(self, dims: LossDims) -> BlackboxMAPLoss:
        """Return the loss."""
        return BlackboxMAPLoss(self)

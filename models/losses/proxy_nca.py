"""ProxyNCA: distance to the proxy of the own class against distances to the proxies of other classes.

Letters: R vectors, E embedding width, C classes.
"""

from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.labelled import LabelledRows, LabelledTerm, ProxyTermParams, Reading


class ProxyNCALoss(LabelledTerm):
    """Mean over vectors of -log(exp(-d_y) / sum_z exp(-d_z)), d = |scale * (x - p)|^2 of unit vectors, in nats.

    Source: Movshovitz-Attias et al. 2017 (arXiv:1703.07464), eq. 6; proxies and distances by pytorch-metric-learning.
    z runs over the other classes as in the paper, so the loss can be negative, or over all classes (`denominator`) as in most
    code. Deviation: both vectors are scaled after normalisation, as in the authors' code and all later code.
    """

    def __init__(
        self, reading: Reading, *, num_classes: int, embedding_dim: int, scale: float, denominator: Literal["others", "all"]
    ) -> None:
        """Start from random proxies."""
        from pytorch_metric_learning.losses import ProxyNCALoss as Library

        super().__init__(reading)
        self.denominator = denominator
        self.library = Library(num_classes, embedding_dim, softmax_scale=scale**2)

    def compute(self, rows: LabelledRows) -> Tensor:
        """Return a scalar; 0 with a single class."""
        if self.denominator == "all":
            value: Tensor = self.library(rows.vectors, rows.classes)
            return value
        logits: Tensor = -self.library.softmax_scale * self.library.get_logits(rows.vectors)  # (R, C)
        if logits.shape[1] == 1:
            return logits.sum() * 0
        own = F.one_hot(rows.classes, logits.shape[1]).bool()
        return (torch.logsumexp(logits.masked_fill(own, float("-inf")), dim=1) - logits[own]).mean()


class ProxyNCAParams(ProxyTermParams):
    """Values of ProxyNCA."""

    name: Literal["proxy_nca"]
    scale: PositiveFloat = 3.0  # length of vectors and proxies
    denominator: Literal["others", "all"] = "others"  # the classes that the own class is compared with

    def build(self, dims: LossDims) -> ProxyNCALoss:
        """Return the loss with one proxy per class."""
        return ProxyNCALoss(
            self.choose_reading(),
            num_classes=self.count_classes(dims),
            embedding_dim=self.require_embeddings(dims),
            scale=self.scale,
            denominator=self.denominator,
        )

"""Proxy-Anchor: each proxy attracts the vectors of its class and repels all others, hard ones most."""

from typing import Literal

from pydantic import Field, PositiveFloat
from torch import Tensor

from models.contracts.batches import LossDims
from models.losses.labelled import LabelledRows, LabelledTerm, ProxyTermParams, Reading


class ProxyAnchorLoss(LabelledTerm):
    """Proxy-Anchor on cosines of vectors x and proxies p.

    1/|P+| sum_{p in P+} log(1 + sum_{x of p} exp(-alpha (cos - margin))) + 1/|P| sum_p log(1 + sum_{other x} exp(alpha (cos +
    margin))), where P+ are the proxies with a vector in the batch.
    Source: Kim et al. 2020 (arXiv:2003.13911), eq. 4, computed by pytorch-metric-learning.
    """

    def __init__(self, reading: Reading, *, num_classes: int, embedding_dim: int, margin: float, alpha: float) -> None:
        """Start from random proxies."""
        from pytorch_metric_learning.losses import ProxyAnchorLoss as Library

        super().__init__(reading)
        self.library = Library(num_classes, embedding_dim, margin=margin, alpha=alpha)

    def compute(self, rows: LabelledRows) -> Tensor:
        """Return a scalar."""
        value: Tensor = self.library(rows.vectors, rows.classes)
        return value


class ProxyAnchorParams(ProxyTermParams):
    """Values of Proxy-Anchor; the defaults are the paper's."""

    name: Literal["proxy_anchor"]
    margin: float = Field(default=0.1, ge=0, lt=1)  # of cosines
    alpha: PositiveFloat = 32.0  # sharpness; larger values give hard vectors more weight

    def build(self, dims: LossDims) -> ProxyAnchorLoss:
        """Return the loss with one proxy per class."""
        return ProxyAnchorLoss(
            self.choose_reading(),
            num_classes=self.count_classes(dims),
            embedding_dim=self.require_embeddings(dims),
            margin=self.margin,
            alpha=self.alpha,
        )

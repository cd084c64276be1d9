"""ProxyNCA++: cross entropy of assigning a vector to the proxy of its class.

Letters: B rows of a batch, R vectors, E embedding width.
"""

from typing import Literal, Self

import torch
from pydantic import PositiveFloat, model_validator
from torch import Tensor

from models.contracts.batches import LossDims
from models.losses.labelled import LabelledRows, LabelledTerm, ProxyTermParams, Reading

Pool = Literal["each", "max"]


class ProxyNCAPPLoss(LabelledTerm):
    """Mean over vectors of -log softmax_z(-|x - p_z|^2 / temperature) at the own class, of unit vectors, in nats.

    Source: ProxyNCA++, Teh et al. 2020 (arXiv:2004.01113), eq. 3 with its low temperature, and its global maximum pooling
    (`pool: max`), here over the candidates of a row; computed by pytorch-metric-learning. `pool: each` compares every
    candidate and averages.
    Deviations: layer norm before the embedding and class-balanced batches are left to network and sampler; proxies have
    their own learning rate, without a fixed ratio to that of the network.
    """

    def __init__(self, reading: Reading, *, num_classes: int, embedding_dim: int, temperature: float, pool: Pool) -> None:
        """Start from random proxies."""
        from pytorch_metric_learning.losses import ProxyNCALoss as Library

        super().__init__(reading)
        self.pool = pool
        self.library = Library(num_classes, embedding_dim, softmax_scale=1 / temperature)

    def compute(self, rows: LabelledRows) -> Tensor:
        """Return a scalar."""
        rows = pool_rows(rows) if self.pool == "max" else rows
        value: Tensor = self.library(rows.vectors, rows.classes)
        return value


def pool_rows(rows: LabelledRows) -> LabelledRows:
    """Return one vector per batch row with vectors: their maximum in every channel."""
    batch_rows, place = torch.unique(rows.batch_rows, return_inverse=True)  # (B,), (R,)
    index = place[:, None].expand_as(rows.vectors)
    empty = rows.vectors.new_zeros(len(batch_rows), rows.vectors.shape[1])
    vectors = empty.scatter_reduce(0, index, rows.vectors, "amax", include_self=False)
    first = (place[None, :] == torch.arange(len(batch_rows), device=place.device)[:, None]).int().argmax(1)  # (B,)
    return LabelledRows(vectors, rows.classes[first], rows.sentences[first], batch_rows)


class ProxyNCAPPParams(ProxyTermParams):
    """Values of ProxyNCA++."""

    name: Literal["proxy_nca_pp"]
    temperature: PositiveFloat = 1 / 9
    pool: Pool = "each"  # each candidate, or the maximum over the candidates of a row

    @model_validator(mode="after")
    def _check_pool(self) -> Self:
        if self.pool == "max" and self.on != "candidates":
            raise ValueError(f"proxy_nca_pp pools candidates: pool: max needs on: candidates, got on={self.on}")
        return self

    def build(self, dims: LossDims) -> ProxyNCAPPLoss:
        """Return the loss with one proxy per class."""
        return ProxyNCAPPLoss(
            self.choose_reading(),
            num_classes=self.count_classes(dims),
            embedding_dim=self.require_embeddings(dims),
            temperature=self.temperature,
            pool=self.pool,
        )

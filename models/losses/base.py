"""Losses as a list of weighted terms."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from corpus.params import Params
from models.exchange.batches import LossContext


class LossTerm(nn.Module, ABC):
    """One loss. `inputs` names the fields of `LossContext` that `forward` takes, in order."""

    inputs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """Return a scalar."""


class TermParams(Params, ABC):
    """Schema shared by all terms. `weight` multiplies the term; 0 leaves it out."""

    weight: NonNegativeFloat = 1.0

    @abstractmethod
    def build(self) -> LossTerm:
        """Return the loss."""


class LossValue(NamedTuple):
    """The weighted sum and its unweighted parts by name."""

    total: Tensor  # scalar
    parts: dict[str, Tensor]


class WeightedLosses(nn.Module):
    """The weighted sum of loss terms. A term of weight 0 is not built, so it is bit-equal to its absence."""

    def __init__(self, terms: Sequence[TermParams]) -> None:
        """Build the terms; `terms` are members of the registry `models.losses.LossParams`."""
        super().__init__()
        used = [term for term in terms if term.weight > 0]
        if not used:
            raise ValueError("a model needs at least one loss with weight > 0")
        self.names = [str(getattr(term, "name")) for term in used]  # noqa: B009 - `name` is declared by each member
        self.weights = [term.weight for term in used]
        self.terms = nn.ModuleList(term.build() for term in used)

    def forward(self, context: LossContext) -> LossValue:
        """Return the weighted sum, reading each term's inputs from the context.

        Raises:
            ValueError: when a term needs a field that this model's role does not provide.
        """
        parts = {}
        for name, term in zip(self.names, self.terms, strict=True):
            assert isinstance(term, LossTerm)
            values = [getattr(context, field) for field in term.inputs]
            missing = [field for field, value in zip(term.inputs, values, strict=True) if value is None]
            if missing:
                raise ValueError(f"loss {name!r} needs {', '.join(missing)}, which this role does not compute")
            parts[name] = term(*values)
        weighted = [weight * part for weight, part in zip(self.weights, parts.values(), strict=True)]
        return LossValue(total=torch.stack(weighted).sum(), parts=parts)

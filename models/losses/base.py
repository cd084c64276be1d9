"""Losses as a list of weighted terms."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from corpus.params import Params
from models.contracts.batches import LossContext, LossDims

NO_DIMS = LossDims(embedding_dim=None, num_labels={})


class LossTerm(nn.Module, ABC):
    """One loss. `inputs` names the fields of `LossContext` that `forward` takes, in order.

    A term whose inputs depend on its values sets `inputs` on the instance.
    """

    inputs: tuple[str, ...]

    @abstractmethod
    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """Return a scalar."""

    def collect_report(self) -> dict[str, float]:
        """Return the figures tracked since the last call, such as those of a miner, and reset them."""
        return {}


class TermParams(Params, ABC):
    """Schema shared by all terms. `weight` multiplies the term; 0 leaves it out."""

    weight: NonNegativeFloat = 1.0

    @abstractmethod
    def build(self, dims: LossDims) -> LossTerm:
        """Return the loss."""


class LearnedTermParams(TermParams, ABC):
    """Schema of terms with their own parameters, such as proxies, and their own learning rate."""

    learning_rate: PositiveFloat = 0.01

    def require_embeddings(self, dims: LossDims) -> int:
        """Return the width of the model's embeddings.

        Raises:
            ValueError: when the model has no embeddings.
        """
        if dims.embedding_dim is None:
            raise ValueError(f"the loss {getattr(self, 'name')!r} needs embeddings, which this model does not give")  # noqa: B009
        return dims.embedding_dim


class LearnedGroup(NamedTuple):
    """The parameters of one term with their learning rate."""

    parameters: list[nn.Parameter]
    learning_rate: float


class LossValue(NamedTuple):
    """The weighted sum and its unweighted parts by name."""

    total: Tensor  # scalar
    parts: dict[str, Tensor]


class WeightedLosses(nn.Module):
    """Weighted sum of loss terms. A term of weight 0 is not built, so it is bit-equal to leaving it out."""

    def __init__(self, terms: Sequence[TermParams], dims: LossDims = NO_DIMS) -> None:
        """Build the terms for a model; `terms` are members of the registry `models.losses.LossParams`."""
        super().__init__()
        used = [term for term in terms if term.weight > 0]
        if not used:
            raise ValueError("a model needs at least one loss with weight > 0")
        self.names = _number_names([str(getattr(term, "name")) for term in used])  # noqa: B009 - every member declares it
        self.weights = [term.weight for term in used]
        self.terms = nn.ModuleList(term.build(dims) for term in used)
        self._rates = [term.learning_rate if isinstance(term, LearnedTermParams) else None for term in used]

    def needs(self, field: str) -> bool:
        """Tell whether a term reads this field of the context, so that costly fields are computed only on demand."""
        return any(field in term.inputs for _, term in self._list_terms())

    def list_learned(self) -> list[LearnedGroup]:
        """Return the parameters of terms that have some, with the learning rate of each term."""
        groups = zip(self._list_terms(), self._rates, strict=True)
        return [LearnedGroup(list(term.parameters()), rate) for (_, term), rate in groups if rate is not None]

    def collect_reports(self) -> dict[str, float]:
        """Return the figures that terms tracked since the last call, as `<term>/<figure>`."""
        reports = [(name, term.collect_report()) for name, term in self._list_terms()]
        return {f"{name}/{figure}": value for name, report in reports for figure, value in report.items()}

    def forward(self, context: LossContext) -> LossValue:
        """Return the weighted sum; each term reads its inputs from the context.

        Raises:
            ValueError: when a term needs a field that the role does not compute.
        """
        parts = {}
        for name, term in self._list_terms():
            values = [getattr(context, field) for field in term.inputs]
            missing = [field for field, value in zip(term.inputs, values, strict=True) if value is None]
            if missing:
                raise ValueError(f"loss {name!r} needs {', '.join(missing)}, which this role does not compute")
            parts[name] = term(*values)
        weighted = [weight * part for weight, part in zip(self.weights, parts.values(), strict=True)]
        return LossValue(total=torch.stack(weighted).sum(), parts=parts)

    def _list_terms(self) -> list[tuple[str, LossTerm]]:
        return list(zip(self.names, cast(Iterable[LossTerm], self.terms), strict=True))


def _number_names(names: Sequence[str]) -> list[str]:
    """Return the names with a number after each repeated one: triplet, triplet_2."""
    counts = [names[: index + 1].count(name) for index, name in enumerate(names)]
    return [name if count == 1 else f"{name}_{count}" for name, count in zip(names, counts, strict=True)]

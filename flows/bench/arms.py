"""An arm of the bench: one training of one role, and its place in the comparison."""

from dataclasses import dataclass
from typing import Literal

from models.losses.base import TermParams
from pipeline.training.roles import TrainPlan

Group = Literal["localizer", "retriever", "floor", "loss"]
Use = Literal["own", "repeat", "alone", "added"]  # of a loss: own of the preset, another seed, in its place, beside it


@dataclass(frozen=True, slots=True)
class Arm:
    """One row of a table. For an arm of the group `loss`, `shown` is the loss and `use` the way it is used."""

    name: str  # unique in the bench, such as localizer/tan2d
    group: Group
    plan: TrainPlan
    shown: TermParams | None = None
    use: Use | None = None

    @property
    def is_timed(self) -> bool:
        """Whether the page shows the arm's cost; such an arm runs alone on the machine."""
        return self.group != "loss"


def describe_loss(loss: TermParams) -> str:
    """Return the name of a loss with the values that were set, without its weight."""
    values = loss.model_dump(mode="json", exclude_unset=True, exclude={"name", "weight"})
    return name_of(loss) + (f"({', '.join(f'{key}={value}' for key, value in values.items())})" if values else "")


def name_of(loss: TermParams) -> str:
    """Return the name that a loss has in the registry."""
    return str(getattr(loss, "name"))  # noqa: B009 - each member declares it

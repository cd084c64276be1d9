"""An arm of the bench: one training of one role, with what it is compared with and the key of its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from corpus.files import sha256_json
from flows.bench.sources import hash_sources
from models.losses.base import TermParams
from stages.support.role_training import TrainPlan

Group = Literal["localizer", "retriever", "floor", "loss"]
Use = Literal["own", "repeat", "alone", "added"]  # of a loss: the preset's own, with another seed, in its place, beside it


@dataclass(frozen=True, slots=True)
class Arm:
    """One line of a table. `shown` is the loss that an arm of the group `loss` is about, `use` how it is used there."""

    name: str  # unique in the bench, such as localizer/tan2d
    group: Group
    plan: TrainPlan
    shown: TermParams | None = None
    use: Use | None = None

    @property
    def is_timed(self) -> bool:
        """Whether the arm's cost is shown: such an arm has the machine to itself."""
        return self.group != "loss"


def compute_arm_key(arm: Arm, given: Mapping[str, Any]) -> str:
    """Name everything that decides an arm's figures: its values and seed, the code it is built of, and what it is `given`."""
    chosen = arm.plan.chosen
    code = hash_sources([type(chosen.component), *map(type, chosen.losses)])
    return sha256_json({"plan": arm.plan.to_json(), "code": code, "given": dict(given)})[:16]


def describe_loss(loss: TermParams) -> str:
    """Return a loss by its name and the values that were given, its weight aside."""
    values = loss.model_dump(mode="json", exclude_unset=True, exclude={"name", "weight"})
    return name_of(loss) + (f"({', '.join(f'{key}={value}' for key, value in values.items())})" if values else "")


def name_of(loss: TermParams) -> str:
    """Return the name that a loss has in the registry."""
    return str(getattr(loss, "name"))  # noqa: B009 - each member declares it

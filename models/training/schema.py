"""How a role is trained: the schema of a preset's `training`, and seeds."""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from corpus.params import Params
from models.optimizers import OptimizerParams
from models.schedules import ScheduleParams
from models.schedules.cosine import CosineParams

Precision = Literal[32, "bf16-mixed", "16-mixed"]


class TrainingParams(Params):
    """How long, in which batches and with which steps a role is trained, and which of its epochs is kept."""

    max_epochs: PositiveInt
    batch_size: PositiveInt  # queries
    videos_per_batch: PositiveInt | None = None  # queries of this many videos share a batch; none: of any videos
    accumulate_batches: PositiveInt = 1  # whose mean gradient makes one optimizer step
    optimizer: OptimizerParams
    schedule: ScheduleParams = CosineParams(name="cosine")  # of the learning rate, after the warm-up
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.05  # of all optimizer steps, in which the rate rises to its full value
    gradient_clip_norm: PositiveFloat | None = 10.0  # none: gradients are not clipped
    precision: Precision = 32  # bits of the network's arithmetic; losses and validation are always computed in 32
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the averaged weights that are validated and kept; 0: none
    patience_epochs: NonNegativeInt = 0  # epochs without improvement before it stops; 0: never

    @model_validator(mode="after")
    def _check_what_an_optimizer_reads(self) -> Self:
        """Refuse what changes gradients, but not the loss, where the step follows from both."""
        if not self.optimizer.reads_loss:
            return self
        wrong = {
            "gradient_clip_norm: null": self.gradient_clip_norm is not None,
            "accumulate_batches: 1": self.accumulate_batches > 1,
            "precision: 32 (or bf16-mixed)": self.precision == "16-mixed",
        }
        remedies = [remedy for remedy, is_wrong in wrong.items() if is_wrong]
        if remedies:
            raise ValueError(
                f"the optimizer {self.optimizer.name!r} takes its step from the loss and the gradients of one batch as they are; "
                f"set {', '.join(remedies)}"
            )
        return self


def derive_seed(seed: int, *parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on `seed` and every part, the same on every machine."""
    text = ":".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

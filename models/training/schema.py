"""Schema of a preset's `training`, and derivation of seeds."""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from corpus.params import Params
from models.optimizers import OptimizerParams
from models.schedules import ScheduleParams
from models.schedules.cosine import CosineParams

Precision = Literal[32, "bf16-mixed", "16-mixed"]


class LoopParams(Params):
    """Values of every training loop: length, optimizer steps, and selection of the kept epoch."""

    max_epochs: PositiveInt
    accumulate_batches: PositiveInt = 1  # batches per optimizer step, which uses their mean gradient
    optimizer: OptimizerParams
    schedule: ScheduleParams = CosineParams(name="cosine")  # of the learning rate, after the warm-up
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.05  # of all optimizer steps; the rate rises during them
    gradient_clip_norm: PositiveFloat | None = 10.0  # null: no clipping
    precision: Precision = 32  # bits of the network's arithmetic; losses and validation always use 32
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the averaged weights, which are validated and kept; 0: no averaging
    patience_epochs: NonNegativeInt = 0  # epochs without improvement before early stopping; 0: never

    @model_validator(mode="after")
    def _check_what_an_optimizer_reads(self) -> Self:
        """Refuse values that change gradients but not the loss, if the step of the optimizer depends on both."""
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


class TrainingParams(LoopParams):
    """Training values of a role, with its batches."""

    batch_size: PositiveInt  # queries
    videos_per_batch: PositiveInt | None = None  # each batch has queries of this many videos; null: of any videos


def derive_seed(seed: int, *parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on `seed` and every part, the same on every machine."""
    text = ":".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

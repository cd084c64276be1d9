"""How a role is trained: the schema of a preset's `training`, the learning rate's course, and seeds."""

import hashlib
import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from corpus.params import Params


class AdamWParams(Params):
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101); matrices decay, vectors (biases, norms) do not."""

    name: Literal["adamw"] = "adamw"
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.01


class TrainingParams(Params):
    """How long, in which batches and with which steps a role is trained, and which of its epochs is kept."""

    max_epochs: PositiveInt
    batch_size: PositiveInt  # queries
    videos_per_batch: PositiveInt | None = None  # queries of this many videos share a batch; none: of any videos
    optimizer: AdamWParams
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.05  # of all steps; cosine to 0 follows
    gradient_clip_norm: PositiveFloat = 10.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the averaged weights that are validated and kept; 0: none
    patience_epochs: NonNegativeInt = 0  # epochs without improvement before it stops; 0: never


def compute_rate_share(step: int, *, num_steps: int, warmup_share: float) -> float:
    """Return the share of the learning rate at a step: linear from above 0 to 1, then a cosine down to 0."""
    num_warmup = round(num_steps * warmup_share)
    if step < num_warmup:
        return (step + 1) / num_warmup
    progress = min(1.0, (step - num_warmup) / max(1, num_steps - num_warmup))
    return (1 + math.cos(math.pi * progress)) / 2


def derive_seed(seed: int, *parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on `seed` and every part, the same on every machine."""
    text = ":".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

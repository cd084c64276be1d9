"""Schema of `presets/gate/<name>.yaml`: the rules by which a challenger replaces the champion."""

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from corpus.params import Params


class Guard(Params):
    """A figure that a challenger must not harm, on all queries or on every value of a group of slices."""

    metric: str
    slices: str | None = None  # a group of `evaluation.tables.slices`, such as "moment length" or the tag "form"
    tolerance: NonNegativeFloat  # a loss up to this is accepted


class Budgets(Params):
    """Limits of cost. The limits relative to the champion do not apply without a champion."""

    max_latency_ratio: PositiveFloat  # median time of a search, relative to the champion's on the same machine
    max_size_ratio: PositiveFloat  # bytes of the bento, relative to the champion's
    max_latency_ms: PositiveFloat | None = None
    max_size_mb: PositiveFloat | None = None


class GateParams(Params):
    """All values of a decision."""

    split: str
    metric: str  # the main metric, which a challenger must improve
    confidence: float = Field(gt=0.5, lt=1)  # of the one-sided bound of the main metric, and of all guards together
    samples: PositiveInt = Field(ge=100)  # bootstrap samples over videos
    seed: NonNegativeInt
    searches: PositiveInt  # queries that also search the collection, spread over the split; their times are compared
    min_videos: PositiveInt = Field(ge=2)  # a slice of fewer videos is shown and not judged
    guards: tuple[Guard, ...]
    budgets: Budgets

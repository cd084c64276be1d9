"""Models that answer, by name."""

from collections.abc import Callable
from typing import NamedTuple

from serving.answers import Answer
from serving.predictor import MomentPredictor

CHAMPION, CHALLENGER = "champion", "challenger"

Ask = Callable[[MomentPredictor], list[Answer]]  # a search, whoever answers it


class Variant(NamedTuple):
    """Models that answer, and the name under which they do."""

    name: str
    predictor: MomentPredictor

    @property
    def model(self) -> str:
        """The version of the models, as answers name it."""
        return self.predictor.bundle.version[:12]


class Answered(NamedTuple):
    """Answers, and who gave them: the name of the variant and the version of its models."""

    answers: list[Answer]
    variant: str
    model: str

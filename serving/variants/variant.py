"""A variant: a named set of models that answers searches."""

from collections.abc import Callable
from typing import NamedTuple

from search.answers import Answer
from search.contracts import Predictor
from search.model_name import ModelName

CHAMPION, CHALLENGER = "champion", "challenger"

Ask = Callable[[Predictor], list[Answer]]  # a search that any variant can answer


class Variant(NamedTuple):
    """A named set of models."""

    name: str
    predictor: Predictor

    @property
    def model(self) -> str:
        """The version of the models, as answers name it."""
        return self.predictor.bundle.version[:12]

    @property
    def model_name(self) -> ModelName:
        """The name of the models for people."""
        return self.predictor.bundle.model


class Answered(NamedTuple):
    """Answers, and who gave them: the name of the variant, the version of its models, and what people call those."""

    answers: list[Answer]
    variant: str
    model: str
    model_name: ModelName

"""The name and revision of the models that made an index or an answer, for people: fingerprints tell models apart."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import Field

from corpus.params import Params


class ModelName(Params):
    """Name of models for people, and their revision: a published commit, or the start of a bundle's version."""

    name: str = Field(min_length=1)
    revision: str | None

    def __str__(self) -> str:
        """The name, with the revision if it is known."""
        return f"{self.name} at {self.revision}" if self.revision else self.name


class NamedModels(Protocol):
    """Models with names and a version, as manifests have them."""

    @property
    def version(self) -> str:
        """The hash of everything that decides an answer."""

    @property
    def models(self) -> Mapping[str, ModelName]:
        """The published models that it holds, by their place in the bundle; empty if all were trained here."""

"""Card of a published pair: facts in its preset for readers. They change no feature, and no network reads them."""

from pydantic import Field, PositiveFloat

from corpus.params import Params

_ADDRESS = r"^https://\S+$"


class Figure(Params):
    """One published result."""

    task: str = Field(min_length=1)  # with its data set and measure
    value: float
    source: str = Field(pattern=_ADDRESS)  # the page that states it


class Card(Params):
    """Published facts of a pair. A fact that no page states is null."""

    page: str = Field(pattern=_ADDRESS)  # where its files are published
    parameters_millions: PositiveFloat | None = None  # of both towers
    figures: tuple[Figure, ...] = ()

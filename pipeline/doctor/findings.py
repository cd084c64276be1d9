"""A leftover with its remedy."""

from collections.abc import Callable
from typing import NamedTuple


class Finding(NamedTuple):
    """A leftover: what it is, and the function that repairs it and returns what it did."""

    what: str
    fix: Callable[[], str]

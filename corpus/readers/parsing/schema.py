"""Strict validation of annotation rows against a schema. Errors name the key, the value and the rule."""

import difflib
from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from corpus.records import GATE, TEST, TRAIN, VALIDATION

MAX_TIME_S = 7 * 24 * 3600.0  # no video is longer than a week

# strict numbers: true, "3", NaN and infinity are rejected
Seconds = Annotated[float, Field(strict=True, ge=0, le=MAX_TIME_S, allow_inf_nan=False)]
Duration = Annotated[float, Field(strict=True, gt=0, le=MAX_TIME_S, allow_inf_nan=False)]
Frame = Annotated[float, Field(strict=True, ge=0, le=1e9, allow_inf_nan=False)]
Window = tuple[Seconds, Seconds]

_LONGEST_SHOWN = 80
M = TypeVar("M", bound=BaseModel)


def parse_row(schema: type[M], content: Any) -> M:
    """Validate a row and return it as an instance of its schema.

    Raises:
        ValueError: naming each wrong key with its value and the rule it breaks.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"it must be a JSON object, got {show(content)}")
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise ValueError("; ".join(_describe(problem) for problem in error.errors()[:3])) from error


def refuse_misspelt(found: Collection[str], known: Collection[str], *, what: str = "key") -> None:
    """Raise ValueError for an unknown key that looks like a known one; ignore other unknown keys."""
    for key in sorted(set(found) - set(known)):
        if similar := difflib.get_close_matches(key, known, n=1, cutoff=0.8):
            raise ValueError(f"unknown {what} {key!r}; did you mean {similar[0]!r}?")


def require_split(split: str) -> str:
    """Return the split of a user's row, or empty.

    Raises:
        ValueError: when the pipeline does not know the split.
    """
    if split not in ("", TRAIN, VALIDATION, TEST, GATE) and not split.startswith(f"{TEST}_"):
        raise ValueError(f"a split is {TRAIN}, {VALIDATION}, {TEST}, {GATE} or {TEST}_<name>, got {show(split)}")
    return split


def show(value: Any) -> str:
    """Format a value for a message; cut a long one."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"the key {key!r} is missing"
    return f"{key} = {show(problem['input'])}: {problem['msg']}"

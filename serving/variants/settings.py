"""Settings of the challenger from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from serving.variants.referee import RollbackLimits

Mode = Literal["share", "shadow"]
_PREFIX = "CUEPOINT_CHALLENGER"


@dataclass(frozen=True, slots=True)
class ChallengerSettings:
    """Location of a challenger, and how it is tried."""

    folder: Path
    mode: Mode
    share: float  # of the clients that it answers, in (0, 1); a shadow computes all searches
    timeout_s: float  # after which the champion answers in its place
    limits: RollbackLimits


def find_challenger_settings(environment: Mapping[str, str] = os.environ) -> ChallengerSettings | None:
    """Read `CUEPOINT_CHALLENGER` and the variables that begin with it; return `None` if it is unset or empty.

    Raises:
        ValueError: naming a variable and its value.
    """
    folder = environment.get(_PREFIX)
    if not folder:
        return None
    mode = environment.get(f"{_PREFIX}_MODE") or "share"
    if mode not in get_args(Mode):
        raise ValueError(f"{_PREFIX}_MODE = {mode!r}: it must be share or shadow")
    limits = RollbackLimits(
        min_requests=round(_read_number(environment, "MIN_REQUESTS", 50, least=1)),
        window_s=_read_number(environment, "WINDOW_S", 3600, least=1),
        error_margin=_read_number(environment, "ERROR_MARGIN", 0.02, most=1),
        p95_margin_s=_read_number(environment, "P95_MARGIN_MS", 50) / 1000,
    )
    share = _read_number(environment, "SHARE", 0.1, most=1)
    if share in (0, 1):
        raise ValueError(f"{_PREFIX}_SHARE = {share:g}: it must lie between 0 and 1, so that there is a champion to compare with")
    timeout_s = _read_number(environment, "TIMEOUT_S", 5, least=0.1, most=25)
    return ChallengerSettings(Path(folder), cast("Mode", mode), share, timeout_s, limits)


def _read_number(environment: Mapping[str, str], name: str, default: float, *, least: float = 0, most: float = 1e9) -> float:
    text = environment.get(f"{_PREFIX}_{name}") or str(default)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise ValueError(f"{_PREFIX}_{name} = {text!r}: it must be a number from {least:g} to {most:g}")
    return number

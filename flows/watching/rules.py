"""Rules that turn the results of windows into at most a few retrains: persistence, cool-down and budget."""

from pathlib import Path
from typing import NamedTuple, Self

from pydantic import Field, PositiveInt, ValidationError, model_validator

from corpus.files import read_json, write_json
from corpus.params import Params

STATE = "state.json"
_KEPT_CHECKS = 200
_HOUR_S, _DAY_S = 3600.0, 86400.0


class WatchRules(Params):
    """When a window is compared, and when drift starts a retrain."""

    min_rows: PositiveInt = 100  # a window waits for so many sentences
    max_rows: PositiveInt = 500  # the newest ones count
    level: float = Field(0.05, ge=0.01, lt=1)  # of a false alarm on one window; 999 permutations reach no less in ten tests
    persist: PositiveInt = 2  # windows in a row with drift; they share no sentence
    cooldown_h: float = Field(24, ge=0)  # between two retrains
    budget: PositiveInt = 3  # retrains in `budget_days`
    budget_days: PositiveInt = 30

    @model_validator(mode="after")
    def _rows_are_ordered(self) -> Self:
        if self.min_rows > self.max_rows:
            raise ValueError(f"min_rows={self.min_rows} is above max_rows={self.max_rows}; lower one or raise the other")
        return self


class Check(Params):
    """The result of one window."""

    time_s: float
    rows: int
    p_value: float
    has_drift: bool


class WatchState(Params):
    """What a watch remembers between its runs."""

    model: str = ""  # a new model starts anew
    checked_until_s: float = 0.0  # time of the last row that a window held
    streak: int = 0  # windows in a row with drift
    retrains_s: tuple[float, ...] = ()  # times of the retrains that drift started
    checks: tuple[Check, ...] = ()


class Action(NamedTuple):
    """What follows from a window."""

    starts_retrain: bool
    reason: str  # a sentence


def follow(state: WatchState, model: str) -> WatchState:
    """Return the state for the served model: another one than before starts without a streak."""
    return state if state.model == model else state.model_copy(update={"model": model, "streak": 0})


def correct_clock(state: WatchState, *, now_s: float) -> WatchState:
    """Return the state with no time after `now_s`: a clock that was ahead wrote such a time, and it counts as now.

    Without this, a clock that was a year ahead for a minute would stop all retrains of a year.
    """
    retrains_s = tuple(min(one, now_s) for one in state.retrains_s)
    return state.model_copy(update={"checked_until_s": min(state.checked_until_s, now_s), "retrains_s": retrains_s})


def add_check(state: WatchState, check: Check, *, until_s: float) -> WatchState:
    """Return the state after a window whose last row is of `until_s`."""
    streak = state.streak + 1 if check.has_drift else 0
    checks = (*state.checks, check)[-_KEPT_CHECKS:]
    return state.model_copy(update={"checked_until_s": until_s, "streak": streak, "checks": checks})


def decide(state: WatchState, rules: WatchRules, *, now_s: float) -> Action:
    """Return whether a retrain starts now, after the window was added."""
    if state.streak == 0:
        return Action(False, "No retrain: the window shows no drift.")
    if state.streak < rules.persist:
        return Action(False, f"No retrain yet: drift in {state.streak} of {rules.persist} windows in a row.")
    last_s = max(state.retrains_s, default=None)
    if last_s is not None and now_s - last_s < rules.cooldown_h * _HOUR_S:
        left_h = rules.cooldown_h - (now_s - last_s) / _HOUR_S
        return Action(False, f"No retrain: drift persists, and the last retrain cools down for another {left_h:.1f} hours.")
    used = sum(now_s - one < rules.budget_days * _DAY_S for one in state.retrains_s)
    if used >= rules.budget:
        return Action(
            False,
            f"No retrain: drift persists, and the budget of {rules.budget} retrains in {rules.budget_days} days is used up; "
            "start one yourself, or raise the budget.",
        )
    return Action(True, f"Retrain: drift in {state.streak} windows in a row.")


def add_retrain(state: WatchState, *, now_s: float) -> WatchState:
    """Return the state after a retrain was started: its time counts, and drift must persist anew."""
    return state.model_copy(update={"retrains_s": (*state.retrains_s, now_s), "streak": 0})


def load_state(folder: Path) -> WatchState:
    """Read the state of a watch; an empty one if there is none.

    Raises:
        ValueError: naming a file that this version does not read.
    """
    path = folder / STATE
    if not path.is_file():
        return WatchState()
    try:
        return WatchState.model_validate(read_json(path))
    except ValidationError as error:
        raise ValueError(
            f"{path} is not a state of this version: {error.errors()[0]['msg']}; move it away to start anew"
        ) from error


def save_state(folder: Path, state: WatchState) -> None:
    """Write the state of a watch."""
    write_json(folder / STATE, state.model_dump(mode="json"))

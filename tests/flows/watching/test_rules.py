"""Drift starts a retrain when it persists, at most once in the cool-down and within the budget."""

from pathlib import Path

import pytest

from flows.watching.rules import (
    Check,
    WatchRules,
    WatchState,
    add_check,
    add_retrain,
    correct_clock,
    decide,
    follow,
    load_state,
    save_state,
)

HOUR_S = 3600.0
RULES = WatchRules(persist=2, cooldown_h=24, budget=2, budget_days=30)


def see(state: WatchState, *drifts: bool) -> WatchState:
    for drift in drifts:
        state = add_check(state, Check(time_s=0, rows=100, p_value=0.01 if drift else 0.5, has_drift=drift), until_s=1)
    return state


@pytest.mark.parametrize(
    ("drifts", "starts"),
    [((True,), False), ((True, True), True), ((True, False, True), False), ((False, True, True), True), ((False,), False)],
)
def test_only_drift_in_two_windows_in_a_row_starts_a_retrain(drifts: tuple[bool, ...], starts: bool) -> None:
    assert decide(see(WatchState(), *drifts), RULES, now_s=0).starts_retrain == starts


def test_after_a_retrain_drift_must_persist_anew_and_the_cooldown_holds() -> None:
    state = add_retrain(see(WatchState(), True, True), now_s=1000 * HOUR_S)
    assert decide(see(state, True), RULES, now_s=1100 * HOUR_S).reason == "No retrain yet: drift in 1 of 2 windows in a row."
    state = see(state, True, True)
    early = decide(state, RULES, now_s=1020 * HOUR_S)
    assert (early.starts_retrain, "another 4.0 hours" in early.reason) == (False, True)
    assert decide(state, RULES, now_s=1024 * HOUR_S).starts_retrain


def test_the_budget_of_a_month_is_kept_and_comes_back() -> None:
    state = WatchState(retrains_s=(0.0, 48 * HOUR_S))
    state = see(state, True, True)
    used = decide(state, RULES, now_s=100 * HOUR_S)
    assert (used.starts_retrain, "the budget of 2 retrains in 30 days is used up" in used.reason) == (False, True)
    assert decide(state, RULES, now_s=31 * 24 * HOUR_S).starts_retrain


def test_a_clock_that_was_ahead_stops_no_retrain_for_longer_than_the_cooldown() -> None:
    ahead = add_retrain(see(WatchState(checked_until_s=9e9), True, True), now_s=9e9)
    state = correct_clock(see(ahead, True, True).model_copy(update={"checked_until_s": 9e9}), now_s=1000 * HOUR_S)
    assert (state.checked_until_s, state.retrains_s) == (1000 * HOUR_S, (1000 * HOUR_S,))
    assert not decide(state, RULES, now_s=1001 * HOUR_S).starts_retrain
    assert decide(correct_clock(state, now_s=1024 * HOUR_S), RULES, now_s=1024 * HOUR_S).starts_retrain


def test_a_clock_that_steps_back_starts_no_second_retrain() -> None:
    state = see(add_retrain(see(WatchState(), True, True), now_s=1000 * HOUR_S), True, True)
    assert not decide(correct_clock(state, now_s=999 * HOUR_S), RULES, now_s=999 * HOUR_S).starts_retrain


def test_a_new_model_starts_without_a_streak_and_keeps_the_budget() -> None:
    state = follow(see(WatchState(model="a", retrains_s=(5.0,)), True), "b")
    assert (state.streak, state.model, state.retrains_s) == (0, "b", (5.0,))
    assert follow(state, "b") is state


def test_the_state_survives_a_restart_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    state = see(WatchState(model="a"), True)
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state
    (tmp_path / "state.json").write_text('{"streak": "many"}')
    with pytest.raises(ValueError, match=r"state\.json is not a state of this version"):
        load_state(tmp_path)


def test_rules_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="min_rows=600 is above max_rows=500"):
        WatchRules(min_rows=600)

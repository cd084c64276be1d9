"""The referee removes a challenger by a sliding window, after a minimum of requests, and only beyond the margins."""

import pytest

from serving.variants.outcomes import MAX_OUTCOMES, OutcomeWindow
from serving.variants.referee import Referee, RollbackLimits

LIMITS = RollbackLimits(min_requests=10, window_s=60.0, error_margin=0.1, p95_margin_s=0.05)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def referee(clock: Clock) -> Referee:
    return Referee(LIMITS, clock=clock)


def fill_champion(referee: Referee, count: int = 10, *, took_s: float = 0.02, num_errors: int = 0) -> None:
    for number in range(count):
        referee.observe_champion(took_s, is_error=number < num_errors)


def challenge(referee: Referee, count: int, *, took_s: float = 0.02, num_errors: int = 0) -> str:
    """Return the last verdict."""
    verdict = ""
    for number in range(count):
        verdict = referee.observe_challenger(took_s, is_error=number < num_errors)
    return verdict


def test_a_challenger_as_good_as_the_champion_stays(referee: Referee) -> None:
    fill_champion(referee)
    assert challenge(referee, 500) == ""


def test_nothing_is_judged_before_there_are_enough_requests(referee: Referee) -> None:
    fill_champion(referee)
    assert challenge(referee, 9, num_errors=9) == ""
    assert referee.observe_challenger(0.02, is_error=True).startswith("100.0% of its latest 10 requests failed, 0.0%")


def test_failures_up_to_the_margin_are_allowed(referee: Referee) -> None:
    fill_champion(referee, 10, num_errors=1)  # 10 %, so 20 % are allowed
    assert challenge(referee, 10, num_errors=2) == ""
    assert "at most 10.0% more are allowed" in challenge(referee, 10, num_errors=3)


def test_failures_count_without_requests_to_the_champion(referee: Referee) -> None:
    assert challenge(referee, 10, num_errors=2).startswith("20.0%")


def test_the_p95_is_the_nearest_rank_of_the_requests_that_did_not_fail(clock: Clock) -> None:
    window = OutcomeWindow(60.0, clock=clock)
    for number in range(1, 21):
        window.add(number / 100, is_error=False)
    window.add(9.0, is_error=True)
    summary = window.summarise()
    assert summary.p95_s == pytest.approx(0.19)  # rank ceil(0.95 * 20) = 19 of 20
    assert (summary.num_requests, summary.error_rate) == (21, pytest.approx(1 / 21))


def test_an_empty_window_has_no_p95(clock: Clock) -> None:
    assert OutcomeWindow(60.0, clock=clock).summarise() == (0, 0.0, None)


def test_a_slower_challenger_is_removed_when_its_p95_exceeds_the_margin(referee: Referee) -> None:
    fill_champion(referee, took_s=0.02)
    assert challenge(referee, 10, took_s=0.0699) == ""
    verdict = challenge(referee, 10, took_s=0.08)
    assert verdict == "the p95 of its latest 20 requests is 80 ms, the champion's 20 ms; at most 70 ms are allowed"


def test_times_are_not_compared_with_too_few_of_the_champions(referee: Referee) -> None:
    fill_champion(referee, 9)
    assert challenge(referee, 20, took_s=5.0) == ""
    fill_champion(referee, 1)
    assert "5000 ms" in challenge(referee, 1, took_s=5.0)


def test_an_allowance_multiplies_the_champions_time_before_the_margin(clock: Clock) -> None:
    referee = Referee(LIMITS, allowance=2, clock=clock)
    fill_champion(referee, took_s=0.1)
    assert challenge(referee, 10, took_s=0.24) == ""
    assert "at most 250 ms" in challenge(referee, 10, took_s=0.26)


def test_outcomes_older_than_the_window_are_forgotten(referee: Referee, clock: Clock) -> None:
    fill_champion(referee)
    assert challenge(referee, 9, num_errors=9) == ""
    clock.now_s += 61
    assert challenge(referee, 9) == ""
    assert referee.observe_challenger(0.02, is_error=True) == ""  # 1 of 10, at the margin
    assert referee.observe_challenger(0.02, is_error=True).startswith("18.2%")


def test_a_window_is_bounded_whatever_the_traffic(clock: Clock) -> None:
    window = OutcomeWindow(60.0, clock=clock)
    for _ in range(3 * MAX_OUTCOMES):
        window.add(0.01, is_error=False)
    assert window.summarise().num_requests == MAX_OUTCOMES

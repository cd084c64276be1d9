"""Choice of the variant that answers a search: a challenger never delays or fails it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from search.answers import Answer, SearchQuery
from search.predictor import MomentPredictor
from serving.variants.challenger import Challenger, draw
from serving.variants.metrics import VariantMetrics
from serving.variants.referee import Referee, RollbackLimits
from serving.variants.settings import ChallengerSettings, Mode
from serving.variants.variant import CHALLENGER, CHAMPION, Answered, Ask, Variant
from serving.variants.variants import Variants
from serving.variants.worker import StoppedError, Worker

QUERY = SearchQuery("the red circle spins", 2)
LIMITS = RollbackLimits(min_requests=5, window_s=600, error_margin=0.1, p95_margin_s=60.0)
LIMIT_S = 60.0  # never reached unless something hangs
SHADOW = ("shadow", None, None)  # mode, share, agreement


class Trial:
    """A champion and a challenger with equal models, and their metrics."""

    def __init__(self, champion: MomentPredictor, challenger: MomentPredictor, mode: Mode, timeout_s: float) -> None:
        self.registry = CollectorRegistry()
        metrics = VariantMetrics(self.registry)
        settings = ChallengerSettings(Path(), mode, 0.5, timeout_s, LIMITS)
        self.worker = Worker(num_threads=1, max_waiting=2)
        self.challenger = Challenger(
            Variant(CHALLENGER, challenger), settings, worker=self.worker, referee=Referee(LIMITS), metrics=metrics
        )
        self.models = challenger
        self.variants = Variants(Variant(CHAMPION, champion), metrics, challenger=self.challenger)
        self.chosen = next(str(number) for number in range(99) if self.challenger.is_chosen(str(number)) or mode == "shadow")

    def ask(self, ask: Ask, key: str | None = None) -> Answered:
        """Ask as a client of the challenger."""
        return anyio.run(lambda: self.variants.answer(ask, key=key or self.chosen))

    def settle(self) -> None:
        """Wait until the challenger is idle."""
        future = self.worker.submit(lambda: None)
        if future is not None:
            with contextlib.suppress(StoppedError):
                future.result(LIMIT_S)

    def count(self, line: str) -> float:
        """Return a value of the metrics, 0 if it is missing."""
        value = [row.rpartition(" ")[2] for row in generate_latest(self.registry).decode().splitlines() if row.startswith(line)]
        return float(value[0]) if value else 0.0

    def search(self, models: MomentPredictor) -> list[Answer]:
        """A search that both variants answer."""
        return models.search(QUERY)

    def search_badly(self, models: MomentPredictor) -> list[Answer]:
        """A search that only the challenger cannot answer."""
        if models is self.models:
            raise RuntimeError("broken")
        return models.search(QUERY)


@pytest.fixture
def start(small_project: Any, challengers: dict[str, Path]) -> Iterator[Callable[..., Trial]]:
    trials: list[Trial] = []

    def build(mode: Mode, timeout_s: float = LIMIT_S) -> Trial:
        folders = (small_project.root, challengers["twin"])
        models = [MomentPredictor.load(one / "bundle", one / "index", num_threads=1) for one in folders]
        trials.append(Trial(*models, mode, timeout_s))
        return trials[-1]

    yield build
    for trial in trials:
        trial.variants.stop()


def test_a_key_meets_one_variant_and_the_share_is_kept(start: Callable[..., Trial]) -> None:
    trial = start("share")
    chosen = [trial.challenger.is_chosen(f"client {number}") for number in range(2000)]
    assert chosen == [trial.challenger.is_chosen(f"client {number}") for number in range(2000)]
    assert sum(chosen) == pytest.approx(1000, abs=110)  # five standard deviations
    assert draw("a", salt="one") != draw("a", salt="two")


def test_the_challenger_answers_the_clients_that_are_chosen_for_it(start: Callable[..., Trial]) -> None:
    trial = start("share")
    other = next(str(number) for number in range(99) if not trial.challenger.is_chosen(str(number)))
    ours, theirs = trial.ask(trial.search), trial.ask(trial.search, other)
    assert (ours.variant, theirs.variant) == ("challenger", "champion")
    assert ours.answers == theirs.answers


def test_the_champion_answers_if_the_challenger_fails(start: Callable[..., Trial]) -> None:
    trial = start("share")
    answered = trial.ask(trial.search_badly)
    assert answered.variant == "champion"
    assert answered.answers[0].moments
    assert trial.count('cuepoint_variant_requests_total{outcome="failed",variant="challenger"}') == 1


def test_a_search_that_no_variant_can_answer_is_not_a_failure_of_the_challenger(start: Callable[..., Trial]) -> None:
    trial = start("share")
    for _ in range(10):
        with pytest.raises(ValueError, match="has no words"):
            trial.ask(lambda models: models.search(SearchQuery("?")))
    assert trial.challenger.describe().state == "serving"
    assert trial.count('cuepoint_variant_requests_total{outcome="failed",variant="challenger"}') == 0


def test_the_wait_for_a_hanging_challenger_is_limited(start: Callable[..., Trial]) -> None:
    trial, gate = start("share", 0.1), threading.Event()

    def search(models: MomentPredictor) -> list[Answer]:
        if models is trial.models:
            gate.wait(LIMIT_S)
        return models.search(QUERY)

    answered = [trial.ask(search).variant for _ in range(6)]
    gate.set()
    assert answered == ["champion"] * 6
    assert trial.challenger.describe().state == "out"


def test_a_failing_challenger_is_removed_and_stays_out(start: Callable[..., Trial]) -> None:
    trial = start("share")
    assert [trial.ask(trial.search_badly).variant for _ in range(5)] == ["champion"] * 5
    status = trial.challenger.describe()
    assert (status.state, status.reason[:6]) == ("out", "100.0%")
    assert trial.count("cuepoint_challenger_serving") == 0
    assert {trial.ask(trial.search).variant for _ in range(5)} == {"champion"}
    assert trial.count('cuepoint_variant_requests_total{outcome="failed",variant="challenger"}') == 5


def test_a_shadow_never_answers_and_its_agreement_is_reported(start: Callable[..., Trial]) -> None:
    trial = start("shadow")
    for _ in range(3):
        assert trial.ask(trial.search).variant == "champion"
        trial.settle()
    assert trial.challenger.describe().agreement == 1.0
    assert trial.count('cuepoint_shadow_answers_total{outcome="agreed"}') == 3


def test_a_shadow_with_other_answers_disagrees(start: Callable[..., Trial]) -> None:
    trial = start("shadow")
    trial.ask(lambda models: models.search(QUERY._replace(video_ids=frozenset({"v1" if models is trial.models else "v2"}))))
    trial.settle()
    assert trial.challenger.describe().agreement == 0.0


def test_a_hanging_shadow_delays_no_search(start: Callable[..., Trial]) -> None:
    trial, gate = start("shadow"), threading.Event()

    def search(models: MomentPredictor) -> list[Answer]:
        if models is trial.models:
            gate.wait(LIMIT_S)
        return models.search(QUERY)

    assert [trial.ask(search).variant for _ in range(9)] == ["champion"] * 9
    gate.set()
    assert trial.count('cuepoint_shadow_answers_total{outcome="dropped"}') >= 6


def test_a_shadow_that_never_ends_is_removed(start: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.variants.challenger.HANG_S", 0.2)
    trial, gate = start("shadow"), threading.Event()
    for pause_s in (0, 0, 0, 0.3, 0):
        time.sleep(pause_s)
        trial.ask(lambda models: (gate.wait(LIMIT_S) if models is trial.models else None, models.search(QUERY))[1])
    assert trial.challenger.describe() == ("out", "a search is not finished after 0 s", trial.models.bundle.version[:12], *SHADOW)
    gate.set()


def test_a_failing_shadow_is_removed(start: Callable[..., Trial]) -> None:
    trial = start("shadow")
    for _ in range(5):
        trial.ask(trial.search_badly)
        trial.settle()
    assert trial.challenger.describe().state == "out"
    assert trial.ask(trial.search_badly).variant == "champion"


def test_the_champion_answers_a_search_without_a_key(start: Callable[..., Trial]) -> None:
    trial = start("share")
    answered = anyio.run(lambda: trial.variants.answer(trial.search, key=None))
    assert answered.variant == "champion"

"""The recall monitor measures the two-stage search correctly, uses a bounded share of the time, and stops on request."""

import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest

from corpus.moments import RankedMoment
from loopback import wait_until
from search.predictor import MomentPredictor
from search.recall_monitor import TOP_K, RecallMonitor, StoppedError, compute_recall

QUERY = "the red circle spins"


def moments(*names: str) -> list[RankedMoment]:
    return [RankedMoment(name, 0.0, 1.0, 1.0 - place / 10) for place, name in enumerate(names)]


def test_recall_is_the_share_of_the_best_that_were_found() -> None:
    assert compute_recall(moments("a", "b", "d", "e"), moments("a", "c", "b", "f", "d")) == 0.5


def test_recall_is_one_when_all_were_found_in_another_order() -> None:
    assert compute_recall(moments("b", "a"), moments("a", "b", "c")) == 1


def test_recall_without_answers_is_one_if_there_are_no_moments() -> None:
    assert compute_recall([], []) == 1
    assert compute_recall([], moments("a")) == 0


def test_a_drawn_video_stands_for_several() -> None:
    assert compute_recall(moments("a", "b", "d", "e"), moments("a", "c", "b", "d"), drawn={"c"}, weight=2.0) == 0.5
    assert compute_recall(moments("a", "b", "d", "e"), moments("a", "c", "b", "d"), drawn={"c"}, weight=9.0) == 0.25


def test_places_are_the_same_up_to_the_last_bits_of_a_network() -> None:
    assert compute_recall([RankedMoment("a", 1.0, 2.0, 0.5)], [RankedMoment("a", 1.0000001, 2.0, 0.5)]) == 1


@pytest.fixture(scope="module")
def predictor(small_project: Any) -> MomentPredictor:
    return MomentPredictor.load(small_project.bundle, small_project.index, num_threads=1)


def shrink(predictor: MomentPredictor, survivors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = predictor.bundle.manifest
    settings = manifest.search.model_copy(update={"survivors": survivors, "window_weight": 0})  # videos then mix in the ranking
    monkeypatch.setitem(vars(predictor.bundle), "manifest", manifest.model_copy(update={"search": settings}))


def test_a_search_that_passes_every_window_on_has_recall_one(predictor: MomentPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(predictor, 1000, monkeypatch)
    monitor = RecallMonitor(predictor, busy_share=1)
    assert math.isnan(monitor.recall)
    assert (monitor.check(QUERY), monitor.recall, monitor.num_checks) == (1, 1, 1)


def test_recall_of_one_survivor_is_that_of_a_loop_over_all_videos(
    predictor: MomentPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink(predictor, 1, monkeypatch)
    found = predictor.rank_survivors(QUERY, top_k=TOP_K).moments
    every = [one for name in predictor.collection.videos for one in predictor.rank_videos(QUERY, [name], top_k=TOP_K)]
    best = sorted(every, key=lambda moment: -moment.score)[: len(found)]
    expected = sum(moment[:3] in {one[:3] for one in found} for moment in best) / len(found)
    monitor = RecallMonitor(predictor, busy_share=1)
    assert monitor.check(QUERY) == pytest.approx(expected)
    assert expected < 1


def test_a_large_collection_is_sampled(predictor: MomentPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(predictor, 1, monkeypatch)
    localized: list[str] = []
    rank = predictor.rank_videos

    def watch(query: str, video_ids: list[str], *, top_k: int) -> list[RankedMoment]:
        localized.extend(video_ids)
        return rank(query, video_ids, top_k=top_k)

    monkeypatch.setattr(predictor, "rank_videos", watch)
    RecallMonitor(predictor, busy_share=1, max_videos=3).check(QUERY)
    assert len(set(localized)) == len(localized) == 4


def test_a_check_leaves_the_rest_of_the_time_to_searches(predictor: MomentPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monitor = RecallMonitor(predictor, busy_share=0.25)
    monitor._stopping.wait = lambda seconds: pauses.append(seconds) or False  # type: ignore[method-assign,assignment,func-returns-value]
    clock = SimpleNamespace(perf_counter=itertools.count().__next__)  # each reading is a second later
    monkeypatch.setattr("search.recall_monitor.time", clock)
    monitor.check(QUERY)
    assert pauses
    assert set(pauses) == {3.0}


def test_it_stops_during_a_check(predictor: MomentPredictor) -> None:
    monitor = RecallMonitor(predictor, busy_share=1e-9)
    monitor.stop()
    with pytest.raises(StoppedError):
        monitor.check(QUERY)


def test_the_thread_checks_observed_queries(predictor: MomentPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.recall_monitor._IDLE_S", 0.01)
    monitor = RecallMonitor(predictor, busy_share=1)
    monitor.observe(QUERY)
    monitor.start()
    wait_until(lambda: monitor.num_checks > 0)
    monitor.stop()
    assert monitor.num_checks == 1
    assert 0 <= monitor.recall <= 1


def test_a_share_out_of_range_is_refused(predictor: MomentPredictor) -> None:
    with pytest.raises(ValueError, match=r"busy_share must lie in \(0, 1\], got 0"):
        RecallMonitor(predictor, busy_share=0)

"""The watch of the registry's champion: what it reports once, and what it hands on."""

from pathlib import Path

import pytest

from pipeline.launch import champion_watch, service_process
from pipeline.launch.champion_watch import ChampionWatch
from pipeline.launch.service_process import PreparedBento
from pipeline.tracking.registry import ServedVersion
from pipeline.tracking.server import TrackingError
from serving.startup import successor

FIRST, SECOND = ServedVersion("1", "a" * 64), ServedVersion("2", "b" * 64)


def prepare(version: ServedVersion) -> PreparedBento:
    return PreparedBento(version, Path("bento"), {})


def answer_with(monkeypatch: pytest.MonkeyPatch, *answers: ServedVersion | Exception | None) -> None:
    """Let the registry give these answers in turn."""
    waiting = iter(answers)

    def find() -> ServedVersion | None:
        answer = next(waiting)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(champion_watch, "find_champion", find)


def test_a_new_champion_is_handed_on_once_and_the_old_one_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, FIRST, SECOND, SECOND, None, FIRST)
    watch = ChampionWatch(FIRST, prepare, every_s=1.0)
    for _ in range(5):
        watch.look()
    assert [watch.news.get_nowait().version for _ in range(watch.news.qsize())] == [SECOND, FIRST]


def test_a_registry_that_is_down_is_reported_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answer_with(monkeypatch, TrackingError("MLflow is down"), TrackingError("MLflow is down"), SECOND)
    watch = ChampionWatch(FIRST, prepare, every_s=1.0)
    for _ in range(3):
        watch.look()
    assert watch.news.get_nowait().version == SECOND
    assert capsys.readouterr().out.splitlines() == [
        "the service keeps its models, because the champion cannot be read: MLflow is down",
        "version 2 is the new champion",
        "the registry can be read again",
    ]


def test_a_champion_that_cannot_be_fetched_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def fail_once(version: ServedVersion) -> PreparedBento:
        tries.append(version.version)
        if len(tries) == 1:
            raise TrackingError("MLflow is down")
        return prepare(version)

    answer_with(monkeypatch, SECOND, SECOND, SECOND)
    watch = ChampionWatch(FIRST, fail_once, every_s=1.0)
    for _ in range(3):
        watch.look()
    assert (tries, watch.news.qsize()) == (["2", "2"], 1)


def test_a_damaged_champion_is_refused_once_and_recorded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(version: ServedVersion) -> PreparedBento:
        raise ValueError("the bento is damaged")

    recorded: list[tuple[str, str]] = []
    monkeypatch.setattr(champion_watch, "record_refusal", lambda version, reason: recorded.append((version, reason)))
    answer_with(monkeypatch, SECOND, SECOND)
    watch = ChampionWatch(FIRST, refuse, every_s=1.0)
    for _ in range(2):
        watch.look()
    assert recorded == [("2", "the bento is damaged")]
    assert "version 2 is refused, the service keeps its models: the bento is damaged" in capsys.readouterr().out


def test_launcher_and_service_use_the_same_words() -> None:
    words = (service_process.WANTS_STATE, service_process.READY, service_process._FAILED)
    assert words == (successor.WANTS_STATE, successor.READY, f"{successor.FAILED}: ")
    assert Path(successor.__file__) == Path(successor.__file__).parents[2] / service_process._FOLLOWS.relative_to("src")

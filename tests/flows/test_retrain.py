"""Order and outcome of the flow `retrain`, with its DVC and registry calls replaced."""

import logging
from pathlib import Path

import pytest

from flows import retrain as module
from flows.reproduce import STAGES
from flows.retrain import retrain, seal_and_judge
from flows.retraining.judging import Verdict
from pipeline.dvc.process import DvcError
from pipeline.executors.process import hold_lock
from pipeline.retraining.seal import UnsealedError


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Replace the calls to Prefect, and return the artifacts that the flow creates."""
    pages: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("test_flow"))
    monkeypatch.setattr(module, "create_markdown_artifact", lambda markdown, **_: pages.append(markdown))
    return pages


def test_every_stage_is_up_to_date_before_the_bundle_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(module, "reproduce_stage", done.append)

    def judge(why: str) -> Verdict:
        done.append(f"judged because {why}")
        return Verdict("rejected", "a tie", "page")

    monkeypatch.setattr(module, "seal_and_judge", judge)
    state = retrain.fn("new videos")
    assert done == [*STAGES, "judged because new videos"]
    assert (state.name, state.message, state.is_completed()) == ("Rejected", "a tie", True)


def test_a_failed_stage_leaves_the_champion_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise DvcError("bad data")

    monkeypatch.setattr(module, "reproduce_stage", fail)
    monkeypatch.setattr(module, "seal_and_judge", lambda _: pytest.fail("judged"))
    with pytest.raises(DvcError, match="bad data"):
        retrain.fn()


def test_a_second_retrain_says_that_one_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "reproduce_stage", lambda _: pytest.fail("ran"))
    with hold_lock(Path(".cache/locks/retrain.lock"), what="the flow retrain"):
        state = retrain.fn()
    assert state.name == "AlreadyRunning"
    assert "the flow retrain is already running in process" in str(state.message)


def test_an_unsealed_pipeline_is_rejected_without_a_judgement(monkeypatch: pytest.MonkeyPatch, shown: list[str]) -> None:
    def refuse(_: object) -> None:
        raise UnsealedError("the working tree changed")

    monkeypatch.setattr(module, "seal", refuse)
    monkeypatch.setattr(module, "judge_and_promote", lambda *_, **__: pytest.fail("judged"))
    assert seal_and_judge.fn("a test")[:2] == ("rejected", "the working tree changed")
    assert "the working tree changed" in shown[0]


def test_the_decision_is_shown_as_an_artifact(monkeypatch: pytest.MonkeyPatch, shown: list[str]) -> None:
    monkeypatch.setattr(module, "seal", lambda _: "seal")
    monkeypatch.setattr(module, "judge_and_promote", lambda sealed, *, who, why: Verdict("promoted", why, f"{sealed} {who}"))
    assert seal_and_judge.fn("drift").reason == "drift"
    assert shown[0].startswith("seal flow retrain of ")

"""Order, GPU slot and outcome of the flow, with its DVC and registry calls replaced."""

import ast
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from flows import limits
from flows import reproduce as module
from flows.reproduce import STAGES, reproduce, reproduce_stage, seal_and_challenge
from pipeline.dvc.process import DvcError
from pipeline.executors.slot import GPU_STAGES
from pipeline.identity.closures import find_run_closure, list_runs
from pipeline.tracking.champion import Decision

ROOT = Path(__file__).resolve().parents[2]


def list_dvc_stages() -> list[str]:
    return list(yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"])


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    logger = logging.getLogger("test_flow")
    monkeypatch.setattr(module, "get_run_logger", lambda: logger)
    return logger


def test_the_flow_brings_every_stage_of_dvc_yaml_up_to_date_in_order_and_then_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(module, "reproduce_stage", done.append)
    monkeypatch.setattr(module, "seal_and_challenge", lambda: done.append("champion"))
    reproduce.fn()
    assert done == [*list_dvc_stages(), "champion"]


def test_a_failed_stage_stops_the_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def fail_in_validate(stage: str) -> None:
        done.append(stage)
        if stage == "validate":
            raise DvcError("bad data")

    monkeypatch.setattr(module, "reproduce_stage", fail_in_validate)
    monkeypatch.setattr(module, "seal_and_challenge", lambda: done.append("champion"))
    with pytest.raises(DvcError, match="bad data"):
        reproduce.fn()
    assert done == ["identity", "render", "ingest", "validate"]


@pytest.mark.parametrize("stage", STAGES)
def test_stages_that_compute_on_the_gpu_hold_its_slot_and_no_others(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[object] = []

    @contextmanager
    def reserve(name: str, **options: object) -> Iterator[None]:
        events.append((name, options))
        yield
        events.append("freed")

    monkeypatch.setattr(limits, "concurrency", reserve)
    monkeypatch.setattr(limits, "ensure_gpu_limit", lambda: events.append("limit"))
    monkeypatch.setattr(module, "run_dvc", lambda arguments, **_: events.append(arguments))
    reproduce_stage.fn(stage)
    command = ["repro", "--single-item", stage]
    held = ("gpu", {"occupy": 1, "lease_duration": 60.0, "strict": True, "raise_on_lease_renewal_failure": False})
    assert events == (["limit", held, command, "freed"] if stage in GPU_STAGES else [command])


def test_nothing_is_cached_by_prefect_because_dvc_decides_what_is_stale() -> None:
    for task in (reproduce_stage, seal_and_challenge):
        assert task.cache_policy is module.NO_CACHE
        assert task.persist_result is False
    assert reproduce.persist_result is False


@pytest.mark.parametrize("decision", [Decision(True, "better"), Decision(False, "a tie")])
def test_a_rejected_challenger_is_logged_and_no_failure(
    decision: Decision, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "run_dvc", lambda arguments, log: "")
    monkeypatch.setattr(module, "challenge_champion", lambda: decision)
    with caplog.at_level(logging.INFO, logger="test_flow"):
        seal_and_challenge.fn()
    assert caplog.messages == [f"{'accepted' if decision.accepted else 'rejected'}: {decision.reason}"]


def test_a_working_tree_that_changed_during_the_run_is_not_registered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def find_stale(arguments: list[str], log: object) -> str:
        raise DvcError("stale")

    monkeypatch.setattr(module, "run_dvc", find_stale)
    monkeypatch.setattr(module, "challenge_champion", lambda: pytest.fail("registered"))
    with caplog.at_level(logging.INFO, logger="test_flow"):
        seal_and_challenge.fn()
    assert caplog.messages == ["rejected: the working tree changed while the pipeline ran, so its outputs do not belong together"]


@pytest.mark.slow
def test_the_gpu_stages_are_the_stages_whose_code_chooses_a_device() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    asking = {run.stage for run in list_runs(params) if any(map(asks_for_device, find_run_closure(run, params).files))}
    assert asking == GPU_STAGES


def asks_for_device(path: str) -> bool:
    """Tell whether a file calls `choose_device`."""
    if not path.endswith(".py"):
        return False
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(function, ast.Name) and function.id == "choose_device" for function in calls)

"""Artefacts of a flow run on Prefect's page: progress, the table of stages, and the links."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from flows.artefacts import StageTable, describe_duration, describe_results, show_results
from flows.notification import LOGGER
from loopback import wait_until

if TYPE_CHECKING:
    from conftest import PrefectService

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from pathlib import Path
from prefect import flow
from prefect.runtime import flow_run
from flows.artefacts import StageTable, show_results

@flow
def broken():
    table = StageTable(["render", "ingest", "validate", "train"])
    show_results()
    print(flow_run.id)
    with table.stage("render"):
        Path("dvc.lock").write_text("a")
    with table.stage("ingest"):
        pass
    with table.stage("validate"):
        raise ValueError('a row says "no"')

broken(return_state=True)
"""
NOTIFY = "from flows.notification import ensure_notification; print(ensure_notification())"


def test_outside_a_flow_run_nothing_is_shown_and_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.chdir(tmp_path)
    with StageTable(["train"]).stage("train"):
        pass
    show_results()


def test_pages_that_do_not_exist_are_named_with_the_reason(finished_pipeline: Path) -> None:
    text = describe_results()
    assert "| MLflow run | none: DVC took every result from its cache |" in text
    assert "| Data Docs | data/reports/data_docs/index.html does not exist |" in text


def test_a_duration_is_in_seconds_or_in_minutes() -> None:
    assert [describe_duration(seconds) for seconds in (4.21, 59.94, 200.0)] == ["4.2 s", "59.9 s", "3 min 20 s"]


def read_artefacts(service: "PrefectService", run_id: str) -> dict[str, Any]:
    found = service.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}})
    return {artefact["key"]: artefact["data"] for artefact in found}


def read_notification(service: "PrefectService", run_id: str) -> str:
    logs = service.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}})
    return "\n".join(log["message"] for log in logs if log["name"] == LOGGER)


@pytest.mark.slow
def test_a_run_shows_its_progress_its_stages_and_its_results_and_a_failure_writes_a_line(
    prefect_service: "PrefectService", tmp_path: Path
) -> None:
    first, second = (prefect_service.run(ROOT, sys.executable, "-c", NOTIFY) for _ in range(2))
    assert first == second
    run_id = prefect_service.run(tmp_path, sys.executable, "-c", PROGRAM).splitlines()[-1]
    shown = read_artefacts(prefect_service, run_id)
    assert shown["progress"] == 50
    rows = json.loads(shown["stages"])
    assert [(row["stage"], row["state"]) for row in rows] == [
        ("render", "done"),
        ("ingest", "unchanged"),
        ("validate", "failed"),
        ("train", "waiting"),
    ]
    assert all(row["time"].endswith(" s") and row["started"] for row in rows[:3])
    assert "| page | address |" in shown["results"]
    message = 'run .* of broken ended as Failed: .*a row says "no"'
    wait_until(lambda: re.search(message, read_notification(prefect_service, run_id)) is not None)


@pytest.mark.slow
def test_the_page_of_the_server_asks_the_port_that_was_chosen(prefect_service: "PrefectService") -> None:
    settings = httpx.get(f"{prefect_service.url.removesuffix('/api')}/ui-settings", timeout=90).json()
    assert settings["api_url"] == prefect_service.url


@pytest.mark.slow
def test_a_notification_names_a_block_that_does_not_exist(prefect_service: "PrefectService") -> None:
    environment = prefect_service.env | {"CUEPOINT_NOTIFY": "slack-webhook/nobody"}
    result = subprocess.run(
        [sys.executable, "-c", NOTIFY], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert "CUEPOINT_NOTIFY=slack-webhook/nobody names no block of this Prefect server; write type/name" in result.stderr

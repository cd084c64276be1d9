"""Artefacts of a flow run on Prefect's page: progress, the table of stages, and the links."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flows.artefacts import StageTable, describe_duration, describe_results, show_results
from flows.notification import LOGGER
from flows.reproduce import STAGES
from loopback import wait_until

if TYPE_CHECKING:
    from conftest import PrefectService

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


@pytest.mark.slow
def test_a_run_shows_its_progress_its_stages_and_its_results_and_a_second_one_that_nothing_changed(
    project: Path, prefect_service: "PrefectService"
) -> None:
    deployment = prefect_service.deploy(project)
    shown = []
    for _ in range(2):
        run_id = prefect_service.schedule(deployment)
        assert prefect_service.wait_for(run_id, "COMPLETED", "FAILED", "CRASHED") == "Completed", prefect_service.read_logs(
            run_id
        )
        shown.append(read_artefacts(prefect_service, run_id))
    first, second = shown
    assert first["progress"] == second["progress"] == 100
    rows = json.loads(first["stages"])
    assert [row["stage"] for row in rows] == list(STAGES)
    assert {row["state"] for row in rows} == {"done"}
    assert all(row["time"].endswith(" s") and row["started"] for row in rows)
    assert {row["state"] for row in json.loads(second["stages"])} == {"unchanged"}
    assert "| page | address |" in first["results"]


def read_notification(service: "PrefectService", run_id: str) -> str:
    logs = service.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}})
    return "\n".join(log["message"] for log in logs if log["name"] == LOGGER)


@pytest.mark.slow
def test_a_failed_run_shows_where_it_stopped_and_gets_a_line_from_the_notification(
    project: Path, prefect_service: "PrefectService"
) -> None:
    first, second = (prefect_service.run(project, sys.executable, "-c", NOTIFY) for _ in range(2))
    assert first == second
    program = project / "program.py"
    program.write_text(program.read_text(encoding="utf-8") + "\nassert stage != 'ingest', 'bad \"rows\"'\n")
    run_id = prefect_service.schedule(prefect_service.deploy(project))
    assert prefect_service.wait_for(run_id, "COMPLETED", "FAILED", "CRASHED") == "Failed"
    states = {row["stage"]: row["state"] for row in json.loads(read_artefacts(prefect_service, run_id)["stages"])}
    assert (states["render"], states["ingest"], states["validate"]) == ("done", "failed", "waiting")
    wait_until(lambda: "of reproduce ended as Failed: " in read_notification(prefect_service, run_id))

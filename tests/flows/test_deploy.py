"""Deployment with a real server and worker: scheduled runs, cancelled runs, and never two runs at once."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import psutil
import pytest
import yaml
from prefect.server.schemas.schedules import CronSchedule

from flows.automations import NAME
from flows.deploy import Timetable, list_schedules
from flows.reproduce import STAGES
from loopback import wait_until
from pipeline.dvc.process import build_environment
from pipeline.executors.process import find_holder

if TYPE_CHECKING:
    from conftest import PrefectService

pytestmark = pytest.mark.slow
READ_CHAMPION = "import json; from pipeline.tracking.server import read_champion; print(json.dumps(read_champion()))"


def deploy_without_server(folder: Path, **variables: str) -> str:
    env = {key: value for key, value in build_environment().items() if key != "PREFECT_API_URL"} | variables
    command = [sys.executable, "-m", "cuepoint", "deploy"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False).stderr.splitlines()[-1]


def test_deploying_without_a_server_names_the_command_that_starts_one(project: Path) -> None:
    url = "http://127.0.0.1:9/api"
    message = f"deploy: error: no Prefect server answers at {url}; run: cuepoint server"
    assert deploy_without_server(project, PREFECT_API_URL=url) == message


def test_a_bad_schedule_is_refused(project: Path, prefect_service: "PrefectService") -> None:
    command = [sys.executable, "-m", "cuepoint", "deploy", "--cron", "every night"]
    result = subprocess.run(command, cwd=project, env=prefect_service.env, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "every night" in result.stderr
    assert "Traceback" not in result.stderr


def test_deploying_twice_leaves_one_schedule_one_limit_and_one_pool(project: Path, prefect_service: "PrefectService") -> None:
    first, second = prefect_service.deploy(project), prefect_service.deploy(project)
    assert first == second
    assert prefect_service.ask("deployments/name/reproduce/cuepoint")["schedules"] == []
    deployment = prefect_service.ask("deployments/name/retrain/cuepoint")
    (schedule,) = deployment["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 3 * * *", "Europe/Berlin")
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    limits = {limit["name"]: limit["limit"] for limit in prefect_service.ask("v2/concurrency_limits/filter", {})}
    assert limits["gpu"] == 1
    (automation,) = [one for one in prefect_service.ask("automations/filter", {}) if one["name"] == NAME]
    assert automation["trigger"]["within"] == 540
    assert automation["actions"][0]["state"] == "CRASHED"
    assert f"prefect.deployment.{first}" in automation["trigger"]["match_related"]["prefect.resource.id"]


def test_a_scheduled_run_finishes_the_pipeline_and_registers_a_champion(project: Path, prefect_service: "PrefectService") -> None:
    run_id = prefect_service.schedule(prefect_service.deploy(project))
    assert prefect_service.wait_for(run_id, "COMPLETED", "FAILED", "CRASHED") == "Completed", prefect_service.read_logs(run_id)
    lock = yaml.safe_load((project / "dvc.lock").read_text(encoding="utf-8"))
    assert list(lock["stages"]) == list(STAGES)
    version, metrics, _ = json.loads(prefect_service.run(project, sys.executable, "-c", READ_CHAMPION))
    assert (version, metrics["val/R1_iou0.5"]) == ("1", 0.5)
    wait_until(lambda: "accepted: there was no champion" in prefect_service.read_logs(run_id))  # logs may come late


def test_retraining_takes_the_schedule_where_there_is_such_a_flow(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    timetable = Timetable("0 3 * * *", "Europe/Berlin", timedelta(minutes=30))
    for present, expected in (
        (["reproduce"], {"reproduce": "0 3 * * *"}),
        (["reproduce", "retrain", "watch"], {"reproduce": None, "retrain": "0 3 * * *", "watch": None}),
    ):
        for name in present:
            (tmp_path / "flows" / f"{name}.py").touch()
        schedules = list_schedules(timetable, tmp_path)
        assert {name: schedule.cron if schedule else None for name, schedule in schedules.items()} == expected
    watch = schedules["watch"]
    assert watch is not None
    assert (watch.interval, watch.timezone) == (timedelta(minutes=30), "Europe/Berlin")
    assert list_schedules(timetable, tmp_path)["watch"] == watch  # a second deploy moves no run


@pytest.mark.parametrize("cron", ["0 3 * * *", "30 2 * * *"])
def test_every_day_has_one_run_when_the_clock_changes(cron: str) -> None:
    schedule = CronSchedule(cron=cron, timezone="Europe/Berlin")
    for change in (datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)):
        dates = asyncio.run(schedule.get_dates(5, start=change))
        days = [date.astimezone(ZoneInfo("Europe/Berlin")).date() for date in dates]
        assert days == sorted(set(days))
        assert days[-1] - days[0] == timedelta(days=4)


@pytest.mark.fault
def test_cancelling_ends_the_stage_frees_the_gpu_slot_and_keeps_the_schedule(
    project: Path, prefect_service: "PrefectService"
) -> None:
    (project / "params.yaml").write_text("recall: 0.5\nwaits_in: pretrain\n", encoding="utf-8")
    waiting = project / ".cache" / "waiting"
    deployment_id = prefect_service.deploy(project)
    run_id = prefect_service.schedule(deployment_id)
    wait_until(waiting.exists, 120, what=lambda: prefect_service.read_logs(run_id))
    stage = psutil.Process(int(waiting.read_text()))
    assert prefect_service.count_gpu_slots() == 1
    second = prefect_service.schedule(deployment_id)
    assert prefect_service.wait_for(second, "CANCELLED", "COMPLETED", "RUNNING") == "Cancelled"
    prefect_service.ask(f"flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})
    assert prefect_service.wait_for(run_id, "CANCELLED") == "Cancelled"
    wait_until(lambda: not stage.is_running())
    assert find_holder(project / ".cache" / "locks" / "slot-cpu.lock") is None
    wait_until(lambda: prefect_service.count_gpu_slots() == 0)
    assert prefect_service.ask("deployments/name/reproduce/cuepoint")["paused"] is False

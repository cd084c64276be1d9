"""Leftovers in a real Prefect server: a run whose process has ended, and a slot that nobody holds."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.limits import LEASE_S
from loopback import wait_until

if TYPE_CHECKING:
    from conftest import PrefectService

pytestmark = pytest.mark.slow
DESCRIBE_OWNER = "import json; from pipeline.tracking.spool import describe_owner; print(json.dumps(describe_owner()))"


def strand_run(project: Path, service: "PrefectService") -> str:
    """Leave a run in the state Running that a process signed which has ended; return its id."""
    owner = json.loads(service.run(project, sys.executable, "-c", DESCRIBE_OWNER))
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": later}}
    body = {"state": scheduled, "labels": owner}
    run_id = str(service.ask(f"deployments/{service.deploy(project)}/create_flow_run", body)["id"])
    service.ask(f"flow_runs/{run_id}/set_state", {"state": {"type": "RUNNING"}, "force": True})
    return run_id


def test_a_run_without_a_process_and_a_leaked_slot_are_repaired(project: Path, prefect_service: "PrefectService") -> None:
    run_id = strand_run(project, prefect_service)
    wait_until(lambda: prefect_service.count_gpu_slots() == 0, 3 * LEASE_S)  # leases of processes that other tests killed
    prefect_service.ask("v2/concurrency_limits/increment", {"names": ["gpu"], "slots": 1, "mode": "concurrency"})
    command = [sys.executable, "-m", "cuepoint", "doctor"]
    found = subprocess.run(command, cwd=project, env=prefect_service.env, capture_output=True, text=True, check=False)
    name = prefect_service.ask(f"flow_runs/{run_id}")["name"]
    assert found.returncode == 1, found.stderr
    assert f"Prefect: run {name} is Running, but its process " in found.stdout
    assert "Prefect: 1 slots of Prefect's limit gpu are held, but no run is at work and no lease is left" in found.stdout
    assert prefect_service.count_gpu_slots() == 1
    fixed = prefect_service.run(project, *command, "--fix")
    assert fixed.splitlines()[-1] == "nothing is left to repair"
    assert prefect_service.count_gpu_slots() == 0
    assert prefect_service.ask(f"flow_runs/{run_id}")["state"]["type"] == "CRASHED"

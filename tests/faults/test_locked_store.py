"""A tracking database that another program locks: the training goes on, and its run is delivered later."""

import sqlite3
from pathlib import Path

import pytest

from pipeline.tracking import server as tracking
from pipeline.tracking import tracked_run
from pipeline.tracking.tracked_run import TrackedRun, deliver_waiting

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def test_a_locked_database_stops_no_training_and_loses_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    assert tracking.read_champion() is None  # creates the database
    monkeypatch.setattr(tracked_run, "_DRAIN_S", 3.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    run = TrackedRun(tmp_path / "spool", tmp_path / "state", name="blind", params={}, tags={})
    for step in range(3):
        run.log(step, {"val/mIoU": 0.1})
    refused = rf"^MLflow at sqlite:///{path} did not accept the run within 3 s; the next tracked run delivers it from .*\.jsonl$"
    with pytest.warns(UserWarning, match=refused):
        assert run.end("FINISHED") is None
    other.execute("ROLLBACK")
    other.close()
    run._thread.join(180)
    deliver_waiting(tmp_path / "spool")
    with tracking.open_client() as client:
        (found,) = client.search_runs([tracking.find_experiment(client)])
        steps = [metric.step for metric in client.get_metric_history(found.info.run_id, "val/mIoU")]
    assert (found.info.status, steps) == ("FINISHED", [0, 1, 2])
    assert list((tmp_path / "spool").iterdir()) == []

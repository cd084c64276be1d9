"""Tracking: failures of MLflow never stop a training, and no event is lost or duplicated."""

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.lineage import collect_lineage, load_output_hashes
from pipeline.tracking import server as tracking
from pipeline.tracking.delivery import deliver
from pipeline.tracking.promotions import promote
from pipeline.tracking.server import RegisteredVersion, TrackingError
from pipeline.tracking.spool import Spool, describe_owner, is_owner_dead
from pipeline.tracking.tracked_run import TrackedRun, deliver_waiting

PARAMS = {"component.num_cells": 16, "losses.0.name": "iou_bce"}


@pytest.fixture
def dead_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def start_run(folder: Path) -> TrackedRun:
    return TrackedRun(folder / "spool", folder / "state", name="blind", params=PARAMS, tags={"role": "blind"})


def finish(run: TrackedRun, num_steps: int = 3) -> str | None:
    for step in range(num_steps):
        run.log(step, {"val/R1_iou0.5": step / 10, "train/loss": 1.0})
    return run.end("FINISHED", metrics={"best/val/mIoU": 0.5}, files={"metrics.json": b"{}"})


def read_runs() -> list[Any]:
    with tracking.open_client() as client:
        return list(client.search_runs([tracking.find_experiment(client)]))


def read_steps(run_id: str) -> list[int]:
    with tracking.open_client() as client:
        return [metric.step for metric in client.get_metric_history(run_id, "val/R1_iou0.5")]


def test_a_run_has_parameters_curves_final_metrics_tags_and_files(store: str, tmp_path: Path) -> None:
    run_id = finish(start_run(tmp_path))
    (run,) = read_runs()
    assert run.info.run_id == run_id
    assert run.info.status == "FINISHED"
    assert run.data.params == {"component.num_cells": "16", "losses.0.name": "iou_bce"}
    assert run.data.metrics["best/val/mIoU"] == 0.5
    assert run.data.tags["role"] == "blind"
    assert read_steps(run.info.run_id) == [0, 1, 2]
    with tracking.open_client() as client:
        assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["metrics.json"]


def test_a_run_is_found_by_the_name_of_its_spool(store: str, tmp_path: Path) -> None:
    run = start_run(tmp_path)
    run_id = finish(run)
    found = tracking.find_run(run.spool.name)
    assert found is not None
    assert found.run_id == run_id
    with tracking.open_client() as client:
        assert found.experiment_id == client.get_run(run_id).info.experiment_id
    assert tracking.find_run("nobody") is None


def test_files_of_runs_are_beside_their_sqlite_store_and_not_in_the_working_folder(
    empty_store: Path, store: str, tmp_path: Path
) -> None:
    run_id = finish(start_run(tmp_path))
    assert (empty_store.parent / "artifacts" / str(run_id) / "artifacts" / "metrics.json").is_file()  # the store is a copy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "spool", "state"]


def test_a_run_that_was_delivered_leaves_no_spool(store: str, tmp_path: Path) -> None:
    finish(start_run(tmp_path))
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_dead_server_never_stops_a_training_and_the_spool_is_replayed_later(
    dead_server: None, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run = start_run(tmp_path)
    kept = r"MLflow at http://127.0.0.1:9 .*; the next tracked run delivers it from .*\.jsonl$"
    with pytest.warns(UserWarning, match=kept) as caught:
        assert finish(run) is None
    assert len(caught) == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert deliver_waiting(tmp_path / "spool") == [run.spool.name]
    (found,) = read_runs()
    assert found.info.status == "FINISHED"
    assert read_steps(found.info.run_id) == [0, 1, 2]


def test_the_next_training_delivers_the_spools_of_earlier_trainings(
    dead_server: None, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.warns(UserWarning, match="the next tracked run delivers it"):
        finish(start_run(tmp_path))
    shutil.rmtree(tmp_path / "state")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    finish(start_run(tmp_path))
    assert [run.info.status for run in read_runs()] == ["FINISHED", "FINISHED"]
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_run_that_ends_at_once_delivers_the_waiting_spools_too(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Spool(tmp_path / "spool", "earlier-1")
    waiting.append("start", run_name="earlier", params=PARAMS, tags={})
    waiting.append("end", status="FINISHED", metrics={}, files_base64={})
    deliver_until_stopped = TrackedRun._deliver_until_stopped

    def start_late(run: TrackedRun) -> None:
        run._stop.wait()
        deliver_until_stopped(run)

    monkeypatch.setattr(TrackedRun, "_deliver_until_stopped", start_late)
    finish(start_run(tmp_path))
    assert [one.info.status for one in read_runs()] == ["FINISHED", "FINISHED"]
    assert list((tmp_path / "spool").iterdir()) == []


def test_sending_everything_again_duplicates_nothing(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", "blind-1")
    spool.append("start", run_name="blind", params=PARAMS, tags={})
    for step in range(3):
        spool.append("metrics", step=step, values={"val/R1_iou0.5": 0.1})
    deliver(spool)
    spool.state_path.unlink()  # as if the machine had died before it saved the progress
    state = deliver(spool)
    assert len(read_runs()) == 1
    assert state.run_id is not None
    assert read_steps(state.run_id) == [0, 1, 2]


def test_a_resumed_training_continues_its_run_without_repeating_steps(store: str, tmp_path: Path) -> None:
    first = start_run(tmp_path)
    first.log(0, {"val/R1_iou0.5": 0.0})
    first.log(1, {"val/R1_iou0.5": 0.1})
    first._stop.set()  # like a kill: no end is recorded
    first._wake.set()
    first._thread.join()
    run_id = finish(start_run(tmp_path), num_steps=4)
    (run,) = read_runs()
    assert run.info.run_id == run_id
    assert run.info.status == "FINISHED"
    assert read_steps(run.info.run_id) == [0, 1, 2, 3]


def test_a_truncated_event_is_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "blind-1")
    spool.append("metrics", step=0, values={})
    with spool.events_path.open("a") as file:
        file.write('{"kind": "metr')
    spool.repair()
    spool.append("metrics", step=1, values={})
    assert [event["step"] for event in spool.read()] == [0, 1]


def test_running_runs_whose_process_has_ended_are_marked_killed(store: str, tmp_path: Path) -> None:
    program = "import json; from pipeline.tracking.spool import describe_owner; print(json.dumps(describe_owner()))"
    root = Path(__file__).resolve().parents[3]
    output = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True).stdout
    with tracking.open_client() as client:
        experiment = tracking.find_experiment(client)
        dead = client.create_run(experiment, tags=json.loads(output)).info.run_id
        alive = client.create_run(experiment, tags=describe_owner()).info.run_id
        elsewhere = client.create_run(experiment, tags={**json.loads(output), "owner.host": "another"}).info.run_id
    assert tracking.reap_stale_runs() == [dead]
    assert {run.info.run_id: run.info.status for run in read_runs()} == {dead: "KILLED", alive: "RUNNING", elsewhere: "RUNNING"}


def test_an_owner_of_an_earlier_boot_is_dead() -> None:
    assert not is_owner_dead(describe_owner())
    assert is_owner_dead({**describe_owner(), "owner.boot_id": "before"})
    assert not is_owner_dead({})


def write_bundle(folder: Path) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


def test_a_bundle_is_registered_once_and_becomes_champion(store: str, tmp_path: Path) -> None:
    assert tracking.read_champion() is None
    bundle = write_bundle(tmp_path / "bundle")
    version = tracking.register_bundle(bundle, digest="abc", metrics={"val/mIoU": 0.5}, tags={"sealed": "true"})
    assert tracking.register_bundle(bundle, digest="abc", metrics={}, tags={}) == version
    assert tracking.read_champion() is None
    promote(version, who="a test", why="it asks")
    champion = tracking.read_champion()
    assert isinstance(champion, RegisteredVersion)
    assert champion.version == version
    assert champion.metrics == {"val/mIoU": 0.5}
    assert champion.tags["sealed"] == "true"
    assert (tracking.fetch_version(version, tmp_path / "fetched") / "manifest.json").read_text() == "{}"


def test_the_alias_moves_to_a_better_version(store: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    versions = [tracking.register_bundle(bundle, digest=digest, metrics={}, tags={}) for digest in ("abc", "def")]
    for version in versions:
        promote(version, who="a test", why="it asks")
    champion = tracking.read_champion()
    assert champion is not None
    assert champion.version == versions[1]


def test_a_registry_that_cannot_be_reached_is_named_with_the_remedy(dead_server: None) -> None:
    with pytest.raises(TrackingError, match=r"MLflow at http://127.0.0.1:\d+ cannot be used: .* set MLFLOW_TRACKING_URI"):
        tracking.read_champion()


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.3, 0.8, 1.3])
def test_a_store_whose_first_user_was_killed_still_opens(delay_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    program = "import mlflow; print('ready', flush=True); from pipeline import tracking; tracking.reap_stale_runs()"
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay_s)
        process.kill()
    assert tracking.reap_stale_runs() == []


def test_without_a_server_runs_are_in_the_main_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert tracking.find_tracking_uri() == f"sqlite:///{tmp_path}/.cache/mlflow/mlflow.db"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "code.py").write_text("a = 1\n")
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "code.py"], [*author, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *arguments], check=True)
    return tmp_path


def test_lineage_names_commit_stage_and_the_hash_of_changes(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = collect_lineage([])
    assert clean["git.dirty"] == "false"
    assert len(clean["git.commit"]) == 40
    assert "git.diff_sha256" not in clean
    (repository / "code.py").write_text("a = 2\n")
    monkeypatch.setenv("DVC_STAGE", "train@blind")
    monkeypatch.setenv("DVC_EXP_NAME", "brave-owl")
    dirty = collect_lineage([])
    assert dirty["git.dirty"] == "true"
    assert len(dirty["git.diff_sha256"]) == 64
    assert (dirty["dvc.stage"], dirty["dvc.exp.name"]) == ("train@blind", "brave-owl")


def test_lineage_holds_the_md5_of_inputs_from_dvc_lock_and_dvc_files(repository: Path) -> None:
    lock = "schema: '2.0'\nstages:\n  extract:\n    cmd: x\n    outs:\n    - path: data/features\n      md5: abc.dir\n"
    (repository / "dvc.lock").write_text(lock)
    (repository / "data" / "raw").mkdir(parents=True)
    (repository / "data" / "raw" / "mine.dvc").write_text("outs:\n- md5: def.dir\n  path: mine\n")
    assert load_output_hashes(Path(".")) == {"data/features": "abc.dir", "data/raw/mine": "def.dir"}
    assert collect_lineage([Path("data/features"), Path("data/unknown")])["dvc.md5.data/features"] == "abc.dir"


def test_outside_of_git_a_run_is_tracked_without_its_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert not [tag for tag in collect_lineage([]) if tag.startswith("git.")]

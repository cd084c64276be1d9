"""Leftovers of killed processes: found and named, unchanged without --fix, and gone with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from loopback import is_running, wait_until
from pipeline.doctor.checks import CHECKS
from pipeline.dvc.rwlock import RWLOCK, find_stale_processes, is_damaged
from pipeline.executors.process import read_owner
from pipeline.tracking import server as tracking

STAGES = {"train": {"foreach": {"blind": None}, "do": {"cmd": "true", "outs": ["data/checkpoints/${key}"]}}}
HOLD = """
import sys, time
from pathlib import Path
from pipeline.executors.process import hold_lock
with hold_lock(Path(sys.argv[1]), what="stage train-blind"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a DVC checkout with the stage `train@blind`."""
    for name, value in {"DVC_ROOT": str(tmp_path), "PREFECT_API_URL": "http://127.0.0.1:9/api"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    return tmp_path


def describe(name: str) -> list[str]:
    return [finding.what for finding in CHECKS[name](Path.cwd())]


def fix(name: str) -> list[str]:
    done = [finding.fix() for finding in CHECKS[name](Path.cwd())]
    assert describe(name) == []
    return done


def find_dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_clean_checkout_has_no_findings(checkout: Path) -> None:
    before = sorted(checkout.rglob("*"))
    assert [finding for check in CHECKS.values() for finding in check(checkout)] == []
    assert sorted(checkout.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b'{"write": {"/x'])
def test_a_truncated_rwlock_is_removed(content: bytes, checkout: Path) -> None:
    (checkout / RWLOCK).write_bytes(content)
    assert describe("DVC") == [".dvc/tmp/rwlock is truncated"]
    assert (checkout / RWLOCK).read_bytes() == content
    assert fix("DVC") == ["removed .dvc/tmp/rwlock, which was truncated"]


def test_processes_that_run_no_dvc_are_removed_from_the_rwlock_and_others_stay(checkout: Path) -> None:
    dead, other = find_dead_process(), os.getpid()  # the number of a killed dvc may be in use again
    dvc = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "dvc"], cwd="/")
    try:
        readers = {"/a": [{"pid": dead, "cmd": "dvc repro"}, {"pid": dvc.pid, "cmd": "dvc repro"}]}
        content = {"write": {"/b": {"pid": other, "cmd": "dvc repro"}}, "read": readers}
        (checkout / RWLOCK).write_text(json.dumps(content))
        stale = sorted([dead, other])
        assert find_stale_processes(checkout / RWLOCK) == stale
        names = ", ".join(map(str, stale))
        assert describe("DVC") == [f".dvc/tmp/rwlock names process {names}, which runs no DVC"]
        assert fix("DVC") == [f"removed process {names} from .dvc/tmp/rwlock"]
        assert json.loads((checkout / RWLOCK).read_text()) == {"write": {}, "read": {"/a": readers["/a"][1:]}}
        assert not is_damaged(checkout / RWLOCK)
    finally:
        dvc.kill()
        dvc.wait()


@pytest.fixture
def killed_stage(checkout: Path) -> str:
    """Kill a process that holds the lock of a stage, and return how its signature names it."""
    lock = checkout / ".cache" / "locks" / "train-blind.lock"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, env=env)
    assert holder.stdout is not None
    holder.stdout.readline()
    assert list(CHECKS["files"](checkout)) == describe("stages") == []  # it is alive
    holder.kill()
    holder.communicate()
    return str(read_owner(lock))


@pytest.mark.slow
def test_the_half_written_output_of_a_killed_stage_is_removed(killed_stage: str, checkout: Path) -> None:
    out = Path("data/checkpoints/blind")
    (checkout / out).mkdir(parents=True)
    (checkout / out / "weights.safetensors").write_bytes(b"half")
    assert describe("stages") == [f"{killed_stage} was killed, and left {out} half-written"]
    assert (checkout / out).exists()
    assert fix("stages") == [f"removed {checkout / out}; run: cuepoint repro"]
    assert not (checkout / out).exists()


def test_a_killed_stage_that_left_no_output_needs_no_repair(killed_stage: str) -> None:
    assert "stage train-blind" in killed_stage
    assert describe("stages") == []


def test_temporary_files_are_removed_but_not_those_of_a_service(checkout: Path) -> None:
    unfinished = checkout / "data" / "features" / ".index.json.x1.tmp"
    uploading = checkout / "data" / "service" / ".video.mp4.x2.tmp"
    for path in (unfinished, uploading):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
    assert describe("files") == [f"{unfinished} was never finished"]
    assert fix("files") == [f"removed {unfinished}"]
    assert uploading.exists()


def test_a_stage_without_its_dvc_is_ended(checkout: Path) -> None:
    program = "import time; print('up', flush=True); time.sleep(60)"
    env = {**os.environ, "DVC_STAGE": "train@blind"}
    orphan = subprocess.Popen([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE)
    assert orphan.stdout is not None
    assert orphan.stdout.readline() == b"up\n"
    assert describe("processes") == [f"process {orphan.pid} of stage train@blind runs without the dvc that started it"]
    assert is_running(orphan.pid)
    assert fix("processes") == [f"ended process {orphan.pid}"]
    assert not is_running(orphan.pid)
    orphan.communicate()


@pytest.mark.slow
def test_a_run_whose_process_has_ended_is_marked_killed(checkout: Path) -> None:
    assert describe("MLflow") == []
    assert not (checkout / ".cache").exists()  # asking creates no store
    program = "import json; from pipeline.tracking.spool import describe_owner; print(json.dumps(describe_owner()))"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    owner = json.loads(subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True).stdout)
    with tracking.open_client() as client:
        run_id = client.create_run(tracking.find_experiment(client), tags=owner).info.run_id
    assert describe("MLflow") == [f"MLflow shows {run_id} as RUNNING, but the process of each has ended"]
    assert fix("MLflow") == ["marked 1 MLflow runs as KILLED"]


def run_doctor(*options: str) -> tuple[int, list[str]]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    command = [sys.executable, "-m", "cuepoint", "doctor", *options]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.slow
def test_the_command_changes_nothing_without_fix_and_its_exit_code_tells(checkout: Path) -> None:
    (checkout / RWLOCK).touch()
    unreachable = "Prefect: not checked: no Prefect server answers; run: cuepoint server"
    found = ["DVC: .dvc/tmp/rwlock is truncated", unreachable, "1 found; to repair all, run: cuepoint doctor --fix"]
    assert run_doctor() == (1, found)
    assert (checkout / RWLOCK).exists()
    repaired = [found[0], "DVC: removed .dvc/tmp/rwlock, which was truncated", unreachable, "nothing is left to repair"]
    assert run_doctor("--fix") == (0, repaired)


def test_a_running_dvc_is_left_alone(checkout: Path) -> None:
    (checkout / RWLOCK).touch()
    dvc = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "dvc"])
    try:
        wait_until(lambda: psutil.Process(dvc.pid).cmdline()[-1:] == ["dvc"])
        with pytest.raises(ValueError, match=f"DVC is running in process {dvc.pid}; run the check again when it has ended"):
            describe("DVC")
    finally:
        dvc.kill()
        dvc.wait()

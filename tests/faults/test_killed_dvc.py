"""A kill of DVC alone, as by the out-of-memory killer: its stage ends, and the next run is the only writer."""

import subprocess
import sys
from pathlib import Path

import pytest

from loopback import is_running, wait_until
from pipeline.doctor.checks import CHECKS
from pipeline.dvc.process import build_environment
from small_disk import run_program

pytestmark = [pytest.mark.fault, pytest.mark.slow]
PIPELINE = "stages: {train: {cmd: python make.py, deps: [make.py], outs: [out]}}\n"
MAKE = """
import os, time
from pathlib import Path
from pipeline.entry import run_alone
def main():
    with open("runs.log", "a") as log:
        print(os.getpid(), file=log)
    Path("out").mkdir(exist_ok=True)
    (Path("out") / "first").write_text("whole")
    while not Path("go_on").exists():
        time.sleep(0.05)
    (Path("out") / "second").write_text("whole")
run_alone(main, name="train")
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Build a DVC checkout whose stage `train` holds the slot and waits for the file `go_on`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "make.py").write_text(MAKE)
    return tmp_path


def start_dvc(repo: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a person's `dvc repro` and return it with the process of its stage."""
    log = repo / "runs.log"
    dvc = subprocess.Popen([sys.executable, "-m", "dvc", "repro"], cwd=repo, env=build_environment(), stdout=subprocess.DEVNULL)
    wait_until(lambda: log.is_file() and bool(log.read_text().strip()), 120)
    return dvc, int(log.read_text())


def test_the_stage_of_a_killed_dvc_ends_and_the_next_run_is_the_only_writer(repo: Path) -> None:
    dvc, stage = start_dvc(repo)
    dvc.kill()
    dvc.wait()
    wait_until(lambda: not is_running(stage), 30)
    found = {name: [finding.what for finding in check(repo)] for name, check in CHECKS.items() if name != "MLflow"}
    assert found["processes"] == []
    assert found["DVC"] == [f".dvc/tmp/rwlock names process {dvc.pid}, which runs no DVC"]
    (repo / "go_on").touch()
    again = run_program(repo, sys.executable, "-m", "pipeline.dvc.process", "repro")
    assert again.returncode == 0, again.stderr
    assert len((repo / "runs.log").read_text().split()) == 2
    assert {path.name: path.read_text() for path in (repo / "out").iterdir()} == {"first": "whole", "second": "whole"}
    assert not any(is_running(int(number)) for number in (repo / "runs.log").read_text().split())
    assert [finding for name, check in CHECKS.items() if name != "MLflow" for finding in check(repo)] == []

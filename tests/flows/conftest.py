"""A DVC project with the stages of the pipeline whose commands take no time: flows are tested apart from what they start."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from flows.dvc_process import build_environment
from flows.reproduce import STAGES

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, pathlib, sys, time, yaml
stage = sys.argv[1]
params = yaml.safe_load(open("params.yaml"))
if stage == params["waits_in"]:
    pathlib.Path(".cache/waiting").write_text(str(os.getpid()))
    time.sleep(600)
figures = '{"val": {"localizer": {"R1_iou0.5": %s, "mIoU": 0.4}}}' % params["recall"]
files = {"evaluate": "reports/evaluation/metrics.json", "export": "bundle/manifest.json", "package": "bento/cuepoint.bento"}
path = pathlib.Path("data") / files.get(stage, stage)
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(figures)
"""
OUTS = {"evaluate": "data/reports/evaluation", "export": "data/bundle", "package": "data/bento"}


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder and return what it printed."""
    return subprocess.run(command, cwd=folder, env=build_environment(), check=True, capture_output=True, text=True).stdout


def write_params(project: Path, *, recall: float = 0.5, waits_in: str = "") -> None:
    """Choose the figure that `evaluate` reports and the stage that never ends."""
    (project / "params.yaml").write_text(yaml.safe_dump({"recall": recall, "waits_in": waits_in}), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git and DVC checkout with ten quick stages in a row and the flows of this checkout."""
    folder = tmp_path / "project"
    stages, previous = {}, "program.py"
    for stage in STAGES:
        out = OUTS.get(stage, f"data/{stage}")
        stages[stage] = {"cmd": f"python program.py {stage}", "deps": [previous], "params": ["recall", "waits_in"], "outs": [out]}
        previous = out
    (folder / ".cache").mkdir(parents=True)
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    (folder / ".gitignore").write_text(".cache/\n", encoding="utf-8")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    write_params(folder)
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    return folder


@pytest.fixture
def end_processes() -> Iterator[Callable[[subprocess.Popen[str]], None]]:
    """Takes the processes that a test starts, and ends them with all their children."""
    started: list[psutil.Process] = []
    yield lambda process: started.append(psutil.Process(process.pid))
    for process in started:
        family = [*process.children(recursive=True), process] if process.is_running() else []
        for member in family:
            member.terminate()
        _, alive = psutil.wait_procs(family, timeout=10)
        for member in alive:
            member.kill()

"""A DVC project with the stages of the pipeline but quick commands, for tests of flows without the real stages."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from corpus.files import write_bytes, write_json
from flows.reproduce import STAGES
from pipeline.dvc.process import build_environment

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import os, pathlib, sys, time, yaml
stage = sys.argv[1]
files = {"evaluate": "reports/evaluation/metrics.json", "export": "bundle/manifest.json", "package": "bento/cuepoint.bento"}

def main():
    params = yaml.safe_load(open("params.yaml"))
    if stage == params["waits_in"]:
        pathlib.Path(".cache/waiting").write_text(str(os.getpid()))
        end = time.monotonic() + 600
        while not pathlib.Path(".cache/go_on").exists() and time.monotonic() < end:
            time.sleep(0.1)
    figures = '{"val": {"localizer": {"R1_iou0.5": %s, "mIoU": 0.4}}}' % params["recall"]
    path = pathlib.Path("data") / files.get(stage, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(figures)
    with open(".cache/done.log", "a") as log:
        print(stage, file=log)

if stage in ("pretrain", "extract", "train"):  # as the stages that compute on a device
    from pipeline.entry import run_alone
    run_alone(main, name=stage)
else:
    main()
"""
OUTS = {"evaluate": "data/reports/evaluation", "export": "data/bundle", "package": "data/bento"}


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder and return its output."""
    return subprocess.run(command, cwd=folder, env=build_environment(), check=True, capture_output=True, text=True).stdout


def write_params(project: Path, *, recall: float = 0.5, waits_in: str = "") -> None:
    """Set the recall that `evaluate` reports and the stage that waits."""
    (project / "params.yaml").write_text(yaml.safe_dump({"recall": recall, "waits_in": waits_in}), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Build a git and DVC checkout with a chain of quick stages and the flows of this checkout."""
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
def finished_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a finished pipeline with its own tracking store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_json(Path("data/bundle/manifest.json"), {"files": {}})
    write_bytes(Path("dvc.lock"), b"schema: '2.0'\nstages: {}\n")
    return tmp_path


@pytest.fixture
def finish(finished_pipeline: Path) -> Callable[..., None]:
    """Return a function that gives the pipeline a bento and its validation recall: finish(bento, recall=...)."""

    def write(bento: bytes, *, recall: float) -> None:
        figures = {"val": {"localizer": {"R1_iou0.5": recall, "mIoU": 0.4}}}
        write_json(finished_pipeline / "data/reports/evaluation/metrics.json", figures)
        write_bytes(finished_pipeline / "data/bento/cuepoint.bento", bento)

    return write

"""The retraining of a whole pipeline: gate, registry, explanation, rebuilding and roll-back by the documented commands."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.tracking.champion import METRICS

RunIn = Callable[..., str]


@pytest.fixture
def checkout(tiny_pipeline: Path, run_in: RunIn, tmp_path: Path) -> Path:
    """Return a clone of the finished tiny pipeline that shares its cache."""
    folder = tmp_path / "checkout"
    run_in(tmp_path, "git", "clone", "-q", str(tiny_pipeline), str(folder))
    run_in(folder, "dvc", "cache", "dir", "--local", str(tiny_pipeline / ".dvc" / "cache"))
    run_in(folder, "dvc", "checkout", "-q")
    return folder


def say(run_in: RunIn, folder: Path, *arguments: str) -> str:
    return run_in(folder, sys.executable, "-m", "cuepoint", *arguments)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_retrained_champion_is_explained_rebuilt_and_taken_back_by_the_documented_commands(
    checkout: Path, run_in: RunIn, tmp_path: Path
) -> None:
    first = say(run_in, checkout, "retrain", "--why", "the first data")
    assert "Promoted: " in first
    assert "NothingToDo: this bundle is already the champion (version 1)" in say(run_in, checkout, "retrain")
    assert "already the champion" in say(run_in, checkout, "gate")

    params = checkout / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("localizer_weight: 0.05", "localizer_weight: 0.06"))
    second = say(run_in, checkout, "retrain", "--why", "another weight")
    assert re.search(r"Rejected: R1_iou0\.5 .* which must be above 0", second), second
    assert "NothingToDo: R1_iou0.5" in say(run_in, checkout, "retrain")
    rejected = say(run_in, checkout, "explain", "2")
    assert "gate: rejected: R1_iou0.5" in rejected
    assert "changes.patch of the version" in rejected

    told = say(run_in, checkout, "explain", "champion")
    assert re.search(r"promote: none -> 1 by flow retrain of \S+: the first data; ", told), told
    assert "<- data/identity/render.json md5" in told
    assert "-> data/bundle md5" in told
    command = told.splitlines()[-1].split()
    assert command[:3] == ["cuepoint", "rebuild", "1"]
    rebuilt = tmp_path / command[3].rpartition("/")[2]
    assert "the same inputs, the same metrics" in say(run_in, checkout, *command[1:3], str(rebuilt))
    assert json.loads((rebuilt / METRICS).read_text())["val"]["localizer"]

    promote = "from pipeline.tracking.promotions import promote; promote('2', who='a test', why='to take it back')"
    run_in(checkout, sys.executable, "-c", promote)
    taken = say(run_in, checkout, "rollback", "--why", "finds no goals")
    assert taken == "version 1 is the champion again, in place of version 2\n"
    assert "withdrawn: finds no goals" in say(run_in, checkout, "explain", "2")
    assert say(run_in, checkout, "rollback", "--to", "2", "--why", "it was the data").startswith("version 2 is the champion")

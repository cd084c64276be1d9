"""The retraining of a whole pipeline: gate, registry, explanation, rebuilding and roll-back by the documented commands."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.tracking.champion import METRICS

RunIn = Callable[..., str]


pytestmark = [pytest.mark.whole, pytest.mark.timeout(1200)]
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "aws-secret-of-the-test",
    "CUEPOINT_TOKEN": "token-secret-of-the-test",
    "HF_TOKEN": "hub-secret-of-the-test",
    "PREFECT_API_KEY": "prefect-secret-of-the-test",
}


@pytest.fixture(scope="module")
def checkout(tiny_pipeline: Path, run_in: RunIn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone of the finished tiny pipeline that shares its cache."""
    folder = tmp_path_factory.mktemp("retrained") / "checkout"
    run_in(folder.parent, "git", "clone", "-q", str(tiny_pipeline), str(folder))
    run_in(folder, "dvc", "cache", "dir", "--local", str(tiny_pipeline / ".dvc" / "cache"))
    run_in(folder, "dvc", "checkout", "-q")
    return folder


@pytest.fixture(scope="module")
def first(checkout: Path, run_in: RunIn) -> str:
    """Retrain for the first time, with secrets in the environment, and return the output."""
    words = [f"{name}={value}" for name, value in SECRETS.items()]
    return run_in(checkout, "env", *words, sys.executable, "-m", "cuepoint", "retrain", "--why", "the first data")


def say(run_in: RunIn, folder: Path, *arguments: str) -> str:
    return run_in(folder, sys.executable, "-m", "cuepoint", *arguments)


def test_no_secret_of_the_environment_is_written_anywhere(first: str, checkout: Path) -> None:
    assert "secret-of-the-test" not in first
    found = subprocess.run(["grep", "-rlaF", "secret-of-the-test", str(checkout)], capture_output=True, text=True, check=False)
    assert found.stdout.splitlines() == [str(checkout / "tests" / "flows" / Path(__file__).name)]


def test_a_retrained_champion_is_explained_rebuilt_and_taken_back_by_the_documented_commands(
    first: str, checkout: Path, run_in: RunIn, tmp_path: Path
) -> None:
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

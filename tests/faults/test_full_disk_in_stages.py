"""Full disks and file size limits in real stages: with room again, the stages end with the same bytes."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from safetensors import safe_open

from corpus.files import sha256_file
from small_disk import SmallDisk, run_program

pytestmark = [pytest.mark.fault, pytest.mark.slow]

FAULTS = {"full disk": "No space left on device", "size limit": "File too large"}


@pytest.fixture
def checkout(tiny_pipeline: Path, small_disk: SmallDisk) -> Path:
    """Copy the finished tiny pipeline to a small disk, without any cache."""
    ignored = shutil.ignore_patterns(".git", ".cache", "cache", "__pycache__")
    return Path(shutil.copytree(tiny_pipeline, small_disk.path / "checkout", ignore=ignored))


def hash_files(folder: Path) -> dict[str, str]:
    """Return the checksum of every file except `run.json`, which names the tracked run."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {str(path.relative_to(folder)): sha256_file(path) for path in files}


def run_stage(checkout: Path, *arguments: str, file_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    store = f"sqlite:///{checkout.parents[1] / 'mlflow.db'}"
    command = (sys.executable, "-m", *arguments)
    return run_program(checkout, *command, file_bytes=file_bytes, environment={"MLFLOW_TRACKING_URI": store})


def assert_says_what_did_not_fit(failed: subprocess.CompletedProcess[str], *, file: str, reason: str) -> None:
    assert failed.returncode == 1, failed.stderr
    assert "Traceback" not in failed.stderr
    (message,) = [line for line in failed.stderr.splitlines() if ": error: " in line]
    assert file in message
    assert f": {reason}; " in message
    assert " bytes are needed, " in message
    assert " bytes are free in " in message
    assert message.endswith("and run it again")


@pytest.mark.parametrize("fault", FAULTS)
def test_shards_that_do_not_fit_are_made_when_there_is_room(
    fault: str, checkout: Path, small_disk: SmallDisk, tiny_pipeline: Path
) -> None:
    features = checkout / "data" / "features"
    sizes = [path.stat().st_size for path in features.rglob("shard-*")]
    shutil.rmtree(features)
    small_disk.fill(leaving=sum(sizes) // 2 if fault == "full disk" else 4 * sum(sizes))
    limit = max(sizes) - 1 if fault == "size limit" else None
    failed = run_stage(checkout, "stages.extract", file_bytes=limit)
    assert_says_what_did_not_fit(failed, file="/.cache/shards/", reason=FAULTS[fault])
    assert list(checkout.rglob("*.tmp")) == []
    assert not features.exists() or not any(features.iterdir())
    for path in (checkout / ".cache" / "shards").rglob("*.safetensors"):
        with safe_open(path, framework="numpy") as shard:
            assert list(shard.keys())
    small_disk.free_space()
    again = run_stage(checkout, "stages.extract")
    assert again.returncode == 0, again.stderr
    assert hash_files(features) == hash_files(tiny_pipeline / "data" / "features")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_training_whose_checkpoint_does_not_fit_resumes_when_there_is_room(
    fault: str, checkout: Path, small_disk: SmallDisk, tiny_pipeline: Path
) -> None:
    role = checkout / "data" / "checkpoints" / "blind"
    weights = (role / "weights.safetensors").stat().st_size
    shutil.rmtree(role)
    small_disk.fill(leaving=8 * weights if fault == "full disk" else 64 * weights)
    failed = run_stage(checkout, "stages.train", "blind", file_bytes=weights if fault == "size limit" else None)
    assert_says_what_did_not_fit(failed, file=".ckpt: ", reason=FAULTS[fault])
    assert list(checkout.rglob("*.tmp")) == []
    assert not role.exists()
    states = list((checkout / ".cache" / "training").rglob("*.ckpt"))
    assert bool(states) == (fault == "full disk")
    assert [zipfile.ZipFile(path).testzip() for path in states] == [None] * len(states)
    small_disk.free_space()
    again = run_stage(checkout, "stages.train", "blind")
    assert again.returncode == 0, again.stderr
    assert hash_files(role) == hash_files(tiny_pipeline / "data" / "checkpoints" / "blind")
    assert json.loads((role / "run.json").read_text())["run_id"]

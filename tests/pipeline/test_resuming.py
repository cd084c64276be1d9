"""Resuming of a killed training: it resumes under unchanged code, and starts from the beginning under other code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.fault

ROOT = Path(__file__).resolve().parents[2]
LAYER = "models/layers/sentence_lstm.py"
PROGRAM = """
import sys
from pathlib import Path
import torch
from models.training.fitting import find_last_checkpoint
from small_training import load_inputs, make_plan
from pipeline.training import role_training

torch.set_num_threads(1)
folder, last_epoch = Path(sys.argv[1]), int(sys.argv[2])
plan, inputs = make_plan("localizer", max_epochs=4), load_inputs(folder)
state_dir = role_training.open_training(folder / "states", plan, inputs)

def report(row):
    print("epoch", int(row["epoch"]), flush=True)
    if row["epoch"] == last_epoch:
        raise SystemExit(9)

role_training.train(plan, inputs, out_dir=folder / "out", state_dir=state_dir, report=report)
"""


@pytest.fixture(scope="module")
def folder(code_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a feature store to train on."""
    from small_training import make_corpus, write_inputs

    folder = tmp_path_factory.mktemp("training")
    write_inputs(folder, make_corpus())
    for name in ("small_training.py", "streams.py"):
        shutil.copyfile(ROOT / "tests" / name, folder / name)
    return folder


def train(code_copy: Path, folder: Path, *, last_epoch: int = -1) -> list[str]:
    """Run the training in a process with the copied code and return its printed lines."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(code_copy), str(folder)]), "CUEPOINT_DEVICE": "cpu"}
    command = [sys.executable, "-c", PROGRAM, str(folder), str(last_epoch)]
    done = subprocess.run(command, cwd=code_copy, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == (9 if last_epoch >= 0 else 0), done.stderr
    return done.stdout.splitlines()


def test_a_killed_training_resumes_only_under_its_own_code(code_copy: Path, folder: Path) -> None:
    layer = code_copy / LAYER
    before = layer.read_text(encoding="utf-8")
    try:
        assert train(code_copy, folder, last_epoch=2) == ["epoch 0", "epoch 1", "epoch 2"]
        layer.write_text(f"{before}\n# a comment\n", encoding="utf-8")
        assert train(code_copy, folder, last_epoch=2) == ["epoch 2"]
        layer.write_text(f"{before}\nEDITED = 1\n", encoding="utf-8")
        said, *epochs = train(code_copy, folder)
    finally:
        layer.write_text(before, encoding="utf-8")
    assert said.startswith("train localizer: cannot resume ")
    assert said.endswith(f", which has other code ({LAYER}); starting from the beginning")
    assert epochs == ["epoch 0", "epoch 1", "epoch 2", "epoch 3"]

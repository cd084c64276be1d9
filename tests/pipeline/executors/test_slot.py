"""The slot of a device: one stage at a time computes on it, whoever started the stage."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loopback import WAIT_LIMIT_S
from pipeline.executors import slot
from pipeline.executors.process import find_holder, read_owner
from pipeline.executors.slot import find_slot, hold_slot, list_gpus

HOLD = """
import sys, time
from pipeline.executors.slot import hold_slot
with hold_slot(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a checkout of its own on the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("CUEPOINT_DEVICE", "cpu")
    return tmp_path


def start_holder(stage: str, hold_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, stage, str(hold_s)]
    root = str(Path(__file__).resolve().parents[3])
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root})
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_stage_waits_and_names_the_holder_its_stage_and_its_start(capsys: pytest.CaptureFixture[str]) -> None:
    holder = start_holder("train-localizer", 0.5)
    with hold_slot("train-blind"):
        assert holder.wait(WAIT_LIMIT_S) == 0
    holder.communicate()
    who = rf"process {holder.pid} \(stage train-localizer in {re.escape(str(Path.cwd()))} since \S+ \S+\)"
    message = rf"stage train-blind: waiting for the slot of device cpu, held by {who}\n"
    assert re.fullmatch(message, capsys.readouterr().err)


def test_a_killed_holder_leaves_a_free_slot_and_its_signature() -> None:
    holder = start_holder("extract", 60)
    path = find_slot().path
    present = find_holder(path)
    assert present is not None
    assert present.process == holder.pid
    holder.kill()
    holder.communicate()
    assert find_holder(path) is None
    assert read_owner(path) == present
    with hold_slot("pretrain"):
        assert find_holder(path) is not None
    assert read_owner(path) is None


def test_a_stage_that_computes_on_no_device_takes_no_slot(checkout: Path) -> None:
    with hold_slot("evaluate"):
        assert not find_slot().path.exists()


def test_a_gpu_has_one_slot_for_all_checkouts_and_the_cpu_one_for_each(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(slot, "list_gpus", lambda: ["first", "second"])
    monkeypatch.setenv("CUEPOINT_SLOTS", str(tmp_path / "slots"))
    assert find_slot().path == checkout / ".cache" / "locks" / "slot-cpu.lock"
    for wanted, name in {"cuda": "gpu-first", "cuda:1": "gpu-second"}.items():
        monkeypatch.setenv("CUEPOINT_DEVICE", wanted)
        assert find_slot() == (name, tmp_path / "slots" / f"{name}.lock")
    monkeypatch.delenv("CUEPOINT_DEVICE")
    assert find_slot().device == "gpu-first"
    assert (tmp_path / "slots").stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize("wanted", ["cuda:7", "cuda:x"])
def test_a_gpu_that_is_not_there_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_DEVICE", wanted)
    message = rf"^CUEPOINT_DEVICE = '{wanted}', but this process sees \d+ GPUs; choose another device, or cpu$"
    with pytest.raises(ValueError, match=message):
        find_slot()


@pytest.mark.gpu
def test_gpus_are_numbered_and_named_as_torch_does() -> None:
    import torch

    names = [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
    assert list_gpus() == names

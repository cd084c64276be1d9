"""The entry point of stages: error messages, and records of time and memory."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.entry import TELEMETRY_OFF, describe_missing_module, run_main, run_stage
from pipeline.identity import write_identities
from pipeline.params import load_params
from pipeline.timings import load_timings, record_timing

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def run_program(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "CUEPOINT_"))}
    return subprocess.run([sys.executable, "-c", program], cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the code record of every stage into the test's folder, because no stage starts without it."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    with monkeypatch.context() as inside:
        inside.chdir(tmp_path)
        write_identities(tmp_path / "data" / "identity", load_params().model_dump(by_alias=True))


def run_failing_stage(folder: Path, error: str) -> subprocess.CompletedProcess[str]:
    program = f"from pipeline.entry import run_stage\ndef main(): raise {error}\nrun_stage(main, name='extract')"
    return run_program(program, folder)


@pytest.mark.parametrize(
    "error", ["ValueError('v1 has no video')", "FileNotFoundError('v1 has no video')", "KeyError('v1 has no video')"]
)
def test_a_foreseen_error_is_one_line_without_a_traceback(tmp_path: Path, error: str) -> None:
    result = run_failing_stage(tmp_path, error)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "extract: error: v1 has no video\n")


def test_a_full_disk_is_one_line_for_every_library(tmp_path: Path) -> None:
    result = run_failing_stage(tmp_path, "RuntimeError('unexpected pos') from OSError(28, 'No space left on device')")
    assert result.returncode == 1
    reason = r"unexpected pos \(\[Errno 28\] No space left on device\); \d+ bytes are free in .*; free some and run it again"
    assert re.fullmatch(rf"extract: error: {reason}\n", result.stderr)


def test_an_unforeseen_error_keeps_its_traceback(tmp_path: Path) -> None:
    result = run_failing_stage(tmp_path, "ZeroDivisionError('a bug')")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")


def test_the_message_of_an_interrupt_says_that_the_work_can_be_resumed(tmp_path: Path) -> None:
    result = run_failing_stage(tmp_path, "KeyboardInterrupt")
    assert (result.returncode, result.stderr) == (130, "extract: error: interrupted; run it again to resume\n")


def test_a_missing_package_names_the_extra_that_brings_it_and_the_command(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["torch"] = None  # as if it were not installed
from pipeline.entry import run_stage
def main():
    import torch
run_stage(main, name="pretrain")
"""
    result = run_program(program, tmp_path)
    remedy = "it comes with the extra 'train'; run: pip install 'cuepoint[train]'"
    assert (result.returncode, result.stderr) == (1, f"pretrain: error: the package 'torch' is not installed; {remedy}\n")


def test_a_missing_package_of_no_extra_names_the_setup() -> None:
    error = ModuleNotFoundError("No module named 'av'", name="av.container")
    assert describe_missing_module(error) == "the package 'av' is not installed; run: make setup"


def test_a_program_runs_with_the_telemetry_of_every_tool_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in TELEMETRY_OFF:
        monkeypatch.delenv(variable, raising=False)
    seen: dict[str, str] = {}
    monkeypatch.setattr("warnings.showwarning", None)
    run_main(lambda: seen.update({key: os.environ[key] for key in TELEMETRY_OFF}), name="x")
    assert seen == TELEMETRY_OFF


def test_a_stage_records_its_time_and_memory(tmp_path: Path) -> None:
    program = """
import time
from pipeline.entry import run_stage
def main():
    kept = bytearray(100_000_000)
    start = time.process_time()
    while time.process_time() - start < 0.2:
        pass
run_stage(main, name="extract")
"""
    assert run_program(program, tmp_path).returncode == 0
    timing = load_timings(tmp_path / ".cache" / "timings")["extract"]
    assert timing.cpu_s >= 0.2
    assert timing.wall_s > 0
    assert timing.peak_bytes > 100_000_000


def test_the_work_of_a_stage_s_workers_counts(tmp_path: Path) -> None:
    program = """
import time
from concurrent.futures import ProcessPoolExecutor
from pipeline.entry import run_stage
def spend():
    while time.process_time() < 1:
        pass
def main():
    pool = ProcessPoolExecutor(1)
    pool.submit(spend).result()
    pool.shutdown(wait=False)
run_stage(main, name="extract")
"""
    assert run_program(program, tmp_path).returncode == 0
    assert load_timings(tmp_path / ".cache" / "timings")["extract"].cpu_s >= 1


def test_a_failed_run_leaves_the_record_of_the_last_good_one(tmp_path: Path) -> None:
    with record_timing("extract", tmp_path):
        pass
    before = load_timings(tmp_path)
    with pytest.raises(ValueError, match="^broken$"), record_timing("extract", tmp_path):
        raise ValueError("broken")
    assert load_timings(tmp_path) == before


def test_a_stage_of_several_items_is_recorded_under_the_name_dvc_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@localizer")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr("pipeline.entry.die_with_parent", lambda: None)
    monkeypatch.setattr("warnings.showwarning", None)
    monkeypatch.setattr("sys.argv", ["stages/train.py"])
    run_stage(lambda: None, name="train-localizer")
    assert list(load_timings()) == ["train@localizer"]


def test_a_stage_whose_code_is_not_on_record_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "data" / "identity" / "extract.json").unlink()
    result = run_failing_stage(tmp_path, "ValueError('it ran')")
    remedy = "run: dvc repro identity, then dvc repro extract"
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"extract: error: data/identity/extract.json is missing, so there is no record of the code of extract; {remedy}\n"
    )


def test_a_stage_whose_code_was_edited_since_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "data" / "identity" / "extract.json"
    path.write_text(re.sub(r'("corpus/files.py": )"\w+"', r'\1"0"', path.read_text(encoding="utf-8")), encoding="utf-8")
    result = run_failing_stage(tmp_path, "ValueError('it ran')")
    assert result.returncode == 1
    assert "the code of extract differs from the record data/identity/extract.json: corpus/files.py changed" in result.stderr

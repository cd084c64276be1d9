"""`as_avx2.py`: its environment reaches every library, and it returns the command's exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import as_avx2

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, str(ROOT / "tests" / "as_avx2.py"))


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # as make runs it
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def x86() -> None:
    """Require an x86-64 processor with AVX2; skip the test elsewhere."""
    obstacle = as_avx2.find_obstacle()
    if obstacle:
        pytest.skip(obstacle)


@pytest.mark.slow
@pytest.mark.usefixtures("x86")
def test_no_library_uses_more_than_avx2() -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    report = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert report["oneDNN, bf16-mixed"].startswith("LSTM fails")
    assert report["ATen"] == "AVX2"
    assert report["OpenBLAS"] == "Haswell"
    assert report["NumPy, beyond AVX2"] == "nothing"
    assert report["Arrow"] == "avx2"


@pytest.mark.usefixtures("x86")
@pytest.mark.parametrize("code", [0, 1, 5])
def test_the_exit_code_of_the_command_is_returned(code: int) -> None:
    assert run(sys.executable, "-c", f"raise SystemExit({code})").returncode == code


@pytest.mark.usefixtures("x86")
def test_numpy_does_not_warn_of_features_that_the_processor_lacks() -> None:
    done = run(sys.executable, "-W", "error", "-c", "import numpy")
    assert (done.returncode, done.stderr) == (0, "")


def test_another_processor_is_named_and_nothing_is_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert as_avx2.main([sys.executable, "-c", "raise SystemExit(1)"]) == 0
    assert capsys.readouterr().out == (
        "as_avx2: this processor is aarch64, not x86-64: there is no AVX2 to imitate; nothing was run\n"
    )

"""Fixtures of the command line: an unchanged environment, and commands as real processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

ROOT = Path(__file__).resolve().parents[2]
Cuepoint = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """Restore the environment variables of this process after a command."""
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("CUEPOINT_")]:
            del os.environ[name]
        yield


@pytest.fixture
def cuepoint(tmp_path: Path) -> Cuepoint:
    """Run `cuepoint` as a process in an empty folder, with additional environment variables."""

    def run(*arguments: str, cwd: Path = tmp_path, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        command = [sys.executable, "-m", "cuepoint", *arguments]
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
        )

    return run

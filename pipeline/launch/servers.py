"""The servers of this machine, Prefect and MLflow, under one process: they start together and end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from types import FrameType
from typing import NamedTuple

from pipeline.dvc.process import end_group
from pipeline.executors.process import end_by_signal

_POLL_S = 0.5


class Program(NamedTuple):
    """The command of a server, and the variables that it needs in addition to those of this process."""

    command: list[str]
    variables: Mapping[str, str]


def run_servers(programs: Mapping[str, Program]) -> int:
    """Run servers until one of them ends or this process is told to end; then end all, and return the exit code.

    The servers end with this process even if it is killed.
    """
    signal.signal(signal.SIGTERM, _end)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, program in programs.items():
            running[name] = _start(program)
        while True:
            for name, process in running.items():
                if process.poll() is not None:
                    print(f"{name} has ended with code {process.returncode}, so the others end too", file=sys.stderr, flush=True)
                    return process.returncode or 1
            time.sleep(_POLL_S)
    finally:
        for process in running.values():
            end_group(process)


def _start(program: Program) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        program.command,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **program.variables},
        start_new_session=True,
        preexec_fn=partial(end_by_signal, signal.SIGTERM),
    )


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)

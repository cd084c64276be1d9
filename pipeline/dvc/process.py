"""DVC as a child process that never outlives its flow: it runs in its own process group, which ends as a whole.

Prefect cancels a flow with a signal to one process, and DVC does not end its stage, so a cancelled flow would keep the GPU.
As a program, this module is `dvc` that ends when its parent dies and survives a full disk; see `pipeline.dvc.guards`.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from pipeline.components.loading import require_presets
from pipeline.components.presets import PRESETS
from pipeline.entry import TELEMETRY_OFF, run_main
from pipeline.executors.process import die_with_parent
from pipeline.params import load_params

Log = Callable[[str], object]
LOCK_MESSAGES = ("Unable to acquire lock", "is busy, it is being blocked by")
_TERM_GRACE_S = 10.0
_LONGEST_PAUSE_S = 60.0
_TAIL_LINES = 20


class Outcome(NamedTuple):
    """Exit code of a command and the end of its output."""

    code: int
    tail: str


class DvcError(RuntimeError):
    """A `dvc` command failed."""


def run_dvc(arguments: list[str], *, log: Log, attempts: int = 6, wait_s: float = 5.0) -> str:
    """Run `dvc` in this checkout and return the end of its output; wait while another `dvc` holds the lock.

    Raises:
        DvcError: with the end of the output, when the command fails or the lock stays taken through all attempts.
    """
    command = [sys.executable, "-m", "pipeline.dvc.process", *arguments]
    for attempt in range(1, attempts + 1):
        outcome = run_in_own_process_group(command, log=log)
        if outcome.code == 0:
            return outcome.tail
        if attempt == attempts or not any(message in outcome.tail for message in LOCK_MESSAGES):
            break
        pause_s = min(wait_s * attempt, _LONGEST_PAUSE_S) * random.uniform(0.5, 1.5)
        log(f"another dvc uses these files; attempt {attempt + 1} of {attempts} in {pause_s:.0f} s")
        time.sleep(pause_s)
    raise DvcError(f"`dvc {' '.join(arguments)}` failed with exit code {outcome.code}:\n{outcome.tail}")


def run_in_own_process_group(command: list[str], *, log: Log) -> Outcome:
    """Run a command and log its lines; the end of this call (return, cancellation, error) ends all its processes."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=build_environment(),
        start_new_session=True,
    )
    assert process.stdout is not None
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        for line in _read_lines(process.stdout):
            tail.append(line)
            log(line)
        return Outcome(process.wait(), "\n".join(tail))
    finally:
        end_group(process)
        process.stdout.close()


def _read_lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield lines that are not empty, and the last state of a progress bar, which rewrites its line."""
    for raw in stream:
        line = raw.decode(errors="replace").rstrip().split("\r")[-1]
        if line:
            yield line


def build_environment() -> dict[str, str]:
    """Return the environment of a stage: this Python first on the path, telemetry off, sparse progress."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        **os.environ,
        **TELEMETRY_OFF,
        "PATH": path,
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "TQDM_MININTERVAL": "10",
    }


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End the remaining processes of the group: SIGTERM, then SIGKILL after a grace period."""
    for number, grace_s in ((signal.SIGTERM, _TERM_GRACE_S), (signal.SIGKILL, 1.0)):
        deadline = time.monotonic() + grace_s
        if not _signal_group(process.pid, number):
            break
        while time.monotonic() < deadline and _signal_group(process.pid, 0):
            process.poll()
            time.sleep(0.05)
    process.wait()


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Run `dvc` with this program's arguments.

    Raises:
        ValueError: when params.yaml chooses an unknown preset; DVC would name a missing file, not the known choices.
    """
    die_with_parent()
    if sys.argv[1:2] == ["repro"] and PRESETS.is_dir():
        require_presets(load_params())
    from pipeline.dvc.guards import run_guarded_dvc

    sys.exit(run_guarded_dvc(sys.argv[1:], Path.cwd()))


if __name__ == "__main__":
    run_main(main, name="dvc")

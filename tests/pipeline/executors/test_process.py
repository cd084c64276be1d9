"""Process care: a stage never outlives its parent, and never runs twice at once."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from loopback import WAIT_LIMIT_S, is_running, wait_until
from pipeline.executors.process import AlreadyRunningError, hold_lock, read_owner

pytestmark = pytest.mark.slow

STAGE = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from pipeline.executors.process import die_with_parent
{prelude}
die_with_parent()
with ProcessPoolExecutor(2) as pool:
    pool.map(time.sleep, [60, 60])
    time.sleep(0.3)
    pids = [os.getpid(), *pool._processes]
    Path(sys.argv[1]).with_suffix(".tmp").write_text(" ".join(map(str, pids)))
    Path(sys.argv[1]).with_suffix(".tmp").rename(sys.argv[1])
    {body}
"""


def start_stage(
    folder: Path, *, command: str = "{python} {stage} {pids}", prelude: str = "import os", body: str = "time.sleep(60)"
) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """Start a stage with two workers under a parent that only waits, like `dvc repro`; return parent and processes."""
    stage, pids = folder / "stage.py", folder / "pids"
    stage.write_text(textwrap.dedent(STAGE).format(prelude=prelude, body=body))
    shell_command = command.format(python=sys.executable, stage=stage, pids=pids)
    program = f"import subprocess; subprocess.run(['/bin/sh', '-c', {shell_command!r}])"
    parent = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "DVC_STAGE": "stage"})
    wait_until(pids.exists)
    return parent, [psutil.Process(int(pid)) for pid in pids.read_text().split()]


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(is_running(process.pid) for process in processes)


def kill_and_see_them_go(parent: subprocess.Popen[bytes], processes: list[psutil.Process]) -> bool:
    try:
        parent.kill()
        parent.wait()
        return wait_until(lambda: all_gone(processes))
    finally:
        for process in processes:
            if process.is_running():
                process.kill()


def test_a_stage_and_its_workers_end_after_a_kill_9_of_their_parent(tmp_path: Path) -> None:
    assert kill_and_see_them_go(*start_stage(tmp_path))


def test_a_shell_that_stays_between_parent_and_stage_does_not_keep_the_stage_alive(tmp_path: Path) -> None:
    assert kill_and_see_them_go(*start_stage(tmp_path, command="{python} {stage} {pids}; true"))


@pytest.mark.slow
def test_a_stage_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    prelude = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    assert kill_and_see_them_go(*start_stage(tmp_path, prelude=prelude))


def test_workers_end_with_a_stage_that_is_killed_itself(tmp_path: Path) -> None:
    parent, processes = start_stage(tmp_path)
    processes[0].kill()
    assert wait_until(lambda: all_gone(processes))
    parent.wait(WAIT_LIMIT_S)


def test_sigterm_ends_a_stage_with_a_failure(tmp_path: Path) -> None:
    parent, processes = start_stage(tmp_path, command="{python} {stage} {pids}; echo $? > {pids}.code")
    processes[0].send_signal(signal.SIGTERM)
    parent.wait(WAIT_LIMIT_S)
    assert (tmp_path / "pids.code").read_text().strip() == str(128 + signal.SIGTERM)


def test_a_second_holder_in_the_same_folder_is_refused_by_name_of_the_first(tmp_path: Path) -> None:
    lock = tmp_path / "stage.lock"
    message = rf"^stage extract is already running in process {os.getpid()} since \S+ \S+; wait for it or end it$"
    with (
        hold_lock(lock, what="stage extract"),
        pytest.raises(AlreadyRunningError, match=message),
        hold_lock(lock, what="stage extract"),
    ):
        pass


def test_a_lock_is_free_again_after_its_holder_was_killed(tmp_path: Path) -> None:
    lock = tmp_path / "stage.lock"
    program = "import sys, time; from pathlib import Path; from pipeline.executors.process import hold_lock\n"
    program += "with hold_lock(Path(sys.argv[1]), what='x'): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", program, str(lock)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    holder.kill()
    with hold_lock(lock, what="x", wait_s=WAIT_LIMIT_S):
        owner = read_owner(lock)
        assert owner is not None
        assert (owner.process, owner.what, owner.folder) == (os.getpid(), "x", str(Path.cwd()))
    assert read_owner(lock) is None
    holder.communicate()


def test_the_holder_in_another_folder_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "stage.lock"
    program = "import sys, time; from pathlib import Path; from pipeline.executors.process import hold_lock\n"
    program += "with hold_lock(Path(sys.argv[1]), what='x'): print('held', flush=True); time.sleep(0.5)"
    holder = subprocess.Popen([sys.executable, "-c", program, str(lock)], stdout=subprocess.PIPE, cwd=tmp_path)
    assert holder.stdout is not None
    holder.stdout.readline()
    with hold_lock(lock, what="stage x"):
        assert holder.wait(WAIT_LIMIT_S) == 0
    assert re.fullmatch(
        rf"stage x: waiting for process {holder.pid} \(x in {tmp_path} since \S+ \S+\)\n", capsys.readouterr().err
    )
    holder.communicate()

"""Orphans: processes of a stage whose `dvc` has ended."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil

from pipeline.doctor.findings import Finding
from pipeline.dvc.rwlock import runs_dvc

_TERM_GRACE_S = 10.0


def find_orphans(root: Path) -> Iterator[Finding]:
    """Yield the processes of stages in a checkout that no `dvc` waits for; such a stage writes outputs that DVC ignores."""
    for process in psutil.process_iter():
        try:
            stage = process.environ().get("DVC_STAGE")
            if not stage or process.pid == os.getpid() or not Path(process.cwd()).is_relative_to(root.resolve()):
                continue
            if not any(map(runs_dvc, process.parents())) and process.status() != psutil.STATUS_ZOMBIE:
                what = f"process {process.pid} of stage {stage} runs without the dvc that started it"
                yield Finding(what, partial(_end, process))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _end(process: psutil.Process) -> str:
    """End a process: SIGTERM, then SIGKILL after a grace period."""
    try:
        process.terminate()
        for left in psutil.wait_procs([process], timeout=_TERM_GRACE_S)[1]:
            left.kill()
    except psutil.NoSuchProcess:
        pass
    return f"ended process {process.pid}"

"""Prevention of orphans: BentoML's worker processes lead their own sessions and outlive a killed server."""

import os
import signal
import threading
import time

_PERIOD_S = 1.0


def end_with_parent() -> None:
    """Watch the parent process from a thread. When it ends, send this process SIGTERM, which finishes requests first.

    The launcher names itself in `CUEPOINT_LAUNCHER`, because it may end before this process gets here.
    """
    parent = int(os.environ.get("CUEPOINT_LAUNCHER") or os.getppid())
    threading.Thread(target=_watch, args=(parent,), name="watch-parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PERIOD_S)
    os.kill(os.getpid(), signal.SIGTERM)

"""Restoration of the scheduling policy of the test process.

The encoder SVT-AV1 gives its calling thread the highest real-time priority if the user is root, and never resets it. Tests,
and the servers and browsers that they start, would then block everything else on the machine.
"""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def keep_scheduling() -> Iterator[None]:
    """Restore the policy and the priority of this thread at the end."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != before[0]:
            os.sched_setscheduler(0, *before)

"""Start beside a running service: tells the launcher how far it is, and listens only when it can answer.

The launcher checks for this file in a bento before it starts the bento beside another one.
"""

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.gate.drain import Drain
    from serving.startup.service_state import ServiceState

WANTS_STATE, READY, FAILED = "wants-state", "ready", "failed"
_NEWS, _SUCCESSOR = "CUEPOINT_NEWS_FD", "CUEPOINT_SUCCESSOR"  # set by the launcher
_PERIOD_S = 0.05


def tell(news: str) -> None:
    """Send one line to the launcher, if there is one that listens."""
    number = os.environ.get(_NEWS)
    if number is None:
        return
    try:
        os.write(int(number), " ".join(news.split()).encode()[:2000] + b"\n")
    except OSError:  # the launcher has ended, and this process ends too
        return


def wait_until_loaded(state: "ServiceState", drain: "Drain") -> None:
    """As a successor, wait until the service is loaded, because requests reach this process from then on; else return.

    A successor that cannot answer ends here, before it listens.
    """
    if os.environ.get(_SUCCESSOR) != "1":
        return
    while state.loaded is None and not state.failure and not drain.is_called:
        time.sleep(_PERIOD_S)
    if state.loaded is None:
        os._exit(1)  # an ordinary end would listen for a moment, and drop what it accepts

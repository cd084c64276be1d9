"""Watch of the registry's champion: prepares a new champion's bento in a thread, while the service goes on."""

import queue
import threading
import time
from collections.abc import Callable

from pipeline.launch.service_process import PreparedBento
from pipeline.tracking.promotions import NOT_SERVED_TAG, tag_version
from pipeline.tracking.registry import ServedVersion, find_champion
from pipeline.tracking.server import TrackingError


class ChampionWatch:
    """Puts each new champion into `news`."""

    def __init__(self, served: ServedVersion, prepare: Callable[[ServedVersion], PreparedBento], *, every_s: float) -> None:
        """Prepare the watch; `prepare` fetches, verifies and unpacks a version."""
        self.news: queue.Queue[PreparedBento] = queue.Queue()
        self._known, self._prepare, self._every_s = served, prepare, every_s
        self._trouble = ""

    def start(self) -> None:
        """Start to ask."""
        threading.Thread(target=self._run, name="champion-watch", daemon=True).start()

    def look(self) -> None:
        """Ask once. A registry that cannot be used is reported once, and the service goes on."""
        try:
            found = find_champion()
            if found is not None and found != self._known:
                self._take(found)
        except (OSError, ValueError) as error:
            if str(error) != self._trouble:
                _tell(f"the service keeps its models, because the champion cannot be read: {error}")
            self._trouble = str(error)
            return
        if self._trouble:
            _tell("the registry can be read again")
        self._trouble = ""

    def _run(self) -> None:
        while True:
            time.sleep(self._every_s)
            self.look()

    def _take(self, found: ServedVersion) -> None:
        """Prepare a version once; one whose bento is damaged is refused."""
        _tell(f"version {found.version} is the new champion")
        try:
            prepared = self._prepare(found)
        except ValueError as error:
            _tell(f"version {found.version} is refused, the service keeps its models: {error}")
            record_refusal(found.version, str(error))
        else:
            self.news.put(prepared)
        self._known = found


def record_refusal(version: str, reason: str) -> None:
    """Tag a version with the reason that it is not served, in a thread: the registry may be slow or down."""

    def record() -> None:
        try:
            tag_version(version, {NOT_SERVED_TAG: f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {reason}"[:2000]})
        except TrackingError as error:
            _tell(f"the refusal of version {version} is not recorded: {error}")

    threading.Thread(target=record, name="record-refusal", daemon=True).start()


def _tell(step: str) -> None:
    print(step, flush=True)

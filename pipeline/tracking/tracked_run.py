"""A tracked run of a stage: the stage writes to a spool at once, and a thread delivers the spool to the server.

A failing server neither stops nor delays a stage. The next tracked run of this checkout delivers the remaining events.
"""

import threading
import uuid
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from corpus.files import read_json, write_json
from pipeline.tracking import delivery
from pipeline.tracking import server as tracking
from pipeline.tracking.address import hide_password
from pipeline.tracking.run_start import describe_start
from pipeline.tracking.spool import RunStatus, Spool, describe_owner, find_spools, pack_files

_PAUSE_S = 20.0  # after a failed delivery
_DRAIN_S = 60.0  # wait for delivery at the end of a training; a busy machine needs as long


class TrackedRun:
    """The run of a stage. A killed stage that resumes with the same `state_dir` resumes its run."""

    def __init__(
        self, spool_dir: Path, state_dir: Path, *, name: str, params: Mapping[str, object], tags: Mapping[str, str]
    ) -> None:
        """Record the start or the resumption of the run, and start to deliver."""
        self._spool_dir = spool_dir
        self.spool = self._open_spool(state_dir, name)
        events = self.spool.read()
        self._known_steps = {event["step"] for event in events if event["kind"] == "metrics"}
        if events:
            self.spool.append("resume", tags=describe_owner())
        else:
            self.spool.append("start", **describe_start(name, params, {**tags, **describe_owner()}))
        self._run_id: str | None = None
        self._problem: str | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._deliver_until_stopped, name="tracking", daemon=True)
        self._thread.start()

    def _open_spool(self, state_dir: Path, name: str) -> Spool:
        path = state_dir / "tracking.json"
        if path.is_file():
            spool = Spool(self._spool_dir, read_json(path)["spool"])
            spool.repair()
            return spool
        spool = Spool(self._spool_dir, f"{name}-{uuid.uuid4().hex[:12]}")
        write_json(path, {"spool": spool.name})
        return spool

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record the metrics of a step; steps recorded before a crash are skipped."""
        if step not in self._known_steps:
            self._known_steps.add(step)
            self.spool.append("metrics", step=step, values=dict(values))
            self._wake.set()

    def end(
        self, status: RunStatus, *, metrics: Mapping[str, float] | None = None, files: Mapping[str, bytes] | None = None
    ) -> str | None:
        """Record the end with final metrics and files of a few megabytes, and return the run's id, None if not yet known.

        Warns once if the server could not be used.
        """
        self.spool.append("end", status=status, metrics=dict(metrics or {}), files_base64=pack_files(files or {}))
        self._stop.set()
        self._wake.set()
        self._thread.join(_DRAIN_S)
        if self._thread.is_alive():
            self._problem = (
                f"MLflow at {hide_password(tracking.find_tracking_uri())} did not accept the run within {_DRAIN_S:g} s"
            )
        if self._problem:
            warnings.warn(f"{self._problem}; the next tracked run delivers it from {self.spool.events_path}", stacklevel=2)
        return self._run_id

    def _deliver_until_stopped(self) -> None:
        with self.spool.try_lock():
            is_waiting_delivered = False
            while True:
                is_last = self._stop.is_set()  # read first: events written before the stop are in this delivery
                self._wake.clear()
                self._try(self._deliver)
                if not self._problem and not is_waiting_delivered:
                    self._try(lambda: deliver_waiting(self._spool_dir))
                    is_waiting_delivered = True
                if is_last:
                    return
                if self._problem:
                    self._stop.wait(_PAUSE_S)
                else:
                    self._wake.wait()

    def _deliver(self) -> None:
        self._run_id = delivery.deliver(self.spool).run_id or self._run_id  # a fully delivered spool is removed

    def _try(self, action: Callable[[], object]) -> None:
        """Record the reason of a failed action, because an error of tracking must not stop a training."""
        try:
            action()
            self._problem = None
        except Exception as error:
            self._problem = str(error) or type(error).__name__


def deliver_waiting(spool_dir: Path) -> list[str]:
    """Deliver the spools of ended trainings, mark stale runs as killed, and return the names of the delivered spools.

    Raises:
        TrackingError: when the server cannot be used.
    """
    delivered = []
    for spool in find_spools(spool_dir):
        with spool.try_lock() as is_ours:
            if is_ours:
                delivery.deliver(spool)
                delivered.append(spool.name)
    tracking.reap_stale_runs()
    return delivered


def flatten(value: object, *, separator: str = ".") -> dict[str, object]:
    """Flatten nested mappings and lists into one mapping with joined keys."""
    if not isinstance(value, Mapping | list):
        return {"": value}
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    return {
        f"{name}{separator}{key}" if key else str(name): leaf
        for name, part in items
        for key, leaf in flatten(part, separator=separator).items()
    }

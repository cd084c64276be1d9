"""Spool of a training's reports: a log of events on disk that survives every failure of the tracking server.

A spool has two files: `<name>.jsonl` holds one event a line, in order, and `<name>.json` holds the number of events that the
server has and the id of their run. `pipeline.tracking.server` delivers spools.
"""

import base64
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from corpus.files import NO_ROOM, explain_no_room, read_json, write_json

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, slots=True)
class SpoolState:
    """Progress of a spool's delivery."""

    run_id: str | None = None
    num_delivered: int = 0  # events


class Spool:
    """The events of one run. Appending only needs the disk."""

    def __init__(self, folder: Path, name: str) -> None:
        """Set the paths; the first event creates the files."""
        self.name = name
        self.events_path = folder / f"{name}.jsonl"
        self.state_path = folder / f"{name}.json"

    @contextmanager
    def try_lock(self) -> Iterator[bool]:
        """Yield True if no other process owns the spool, and own it until the block or the process ends."""
        self.events_path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.events_path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            yield _is_lockable(handle)
        finally:
            os.close(handle)

    def append(self, kind: str, **content: Any) -> None:
        """Write one event and flush it to the disk, whole or not at all.

        Raises:
            NoRoomError: when it does not fit.
        """
        self.events_path.parent.mkdir(parents=True, exist_ok=True)
        line = (json.dumps({"kind": kind, "time_ms": round(time.time() * 1000), **content}) + "\n").encode()
        with self.events_path.open("ab", buffering=0) as file:
            start = file.tell()
            try:
                if file.write(line) < len(line):
                    file.write(line[file.tell() - start :])  # writing the rest of a partial line raises the error
                os.fsync(file.fileno())
            except OSError as error:
                file.truncate(start)
                if error.errno in NO_ROOM:
                    raise explain_no_room(error, self.events_path, f"{len(line)} bytes are needed") from error
                raise

    def read(self) -> list[dict[str, Any]]:
        """Return all events, without a last line that a crash truncated."""
        if not self.events_path.is_file():
            return []
        lines = self.events_path.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines if line]

    def repair(self) -> None:
        """Remove a last line that a crash truncated, so that appending starts on a new line."""
        if not self.events_path.is_file():
            return
        content = self.events_path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            os.truncate(self.events_path, len(whole))

    def load_state(self) -> SpoolState:
        """Return the progress of the delivery."""
        return SpoolState(**read_json(self.state_path)) if self.state_path.is_file() else SpoolState()

    def save_state(self, state: SpoolState) -> None:
        """Save the progress of the delivery."""
        write_json(self.state_path, asdict(state))

    def remove(self) -> None:
        """Remove the files of a fully delivered run."""
        self.events_path.unlink(missing_ok=True)
        self.state_path.unlink(missing_ok=True)
        self.events_path.with_suffix(".lock").unlink(missing_ok=True)


def pack_files(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return files in the form of an event; `unpack_files` reads it back."""
    return {name: base64.b64encode(content).decode() for name, content in files.items()}


def unpack_files(packed: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of an event by name."""
    return {name: base64.b64decode(content) for name, content in packed.items()}


def _is_lockable(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def find_spools(folder: Path) -> list[Spool]:
    """Return the spools of a folder, oldest first."""
    paths = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    return [Spool(folder, path.stem) for path in paths]


def describe_owner() -> dict[str, str]:
    """Return tags that identify the process of a run: host, boot, process id and start time."""
    pid = os.getpid()
    return {
        "owner.host": socket.gethostname(),
        "owner.boot_id": _read_boot_id(),
        "owner.pid": str(pid),
        "owner.started": _read_start(pid) or "",
    }


def is_owner_dead(tags: Mapping[str, str]) -> bool:
    """Tell whether the process of the tags has ended; False for a process of another host, whose state is unknown."""
    if tags.get("owner.host") != socket.gethostname() or not tags.get("owner.pid", "").isdecimal():
        return False
    if tags.get("owner.boot_id") != _read_boot_id():
        return True
    return _read_start(int(tags["owner.pid"])) != tags.get("owner.started")


def _read_boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.is_file() else ""


def _read_start(pid: int) -> str | None:
    """Return the start time of a process in clock ticks since boot; None if it does not exist or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]

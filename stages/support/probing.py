"""Probes video files in child processes with a budget of time and memory: one bad file harms no other."""

import multiprocessing
import resource
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from corpus.files import read_json, sha256_file, sha256_json, write_json
from corpus.media import MediaInfo, UndecodableError, check_decodable, decoder_version, hash_code, probe
from stages.support.process import die_with_parent

_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class ProbeBudget:
    """What one file may cost: `base_s` seconds and `s_per_mebibyte` of its size; address space in bytes."""

    base_s: float = 60.0
    s_per_mebibyte: float = 2.0
    memory_bytes: int = 4 << 30

    def compute_time_s(self, path: Path) -> float:
        """Return the seconds this file may take."""
        size = path.stat().st_size if path.exists() else 0  # a broken link is the worker's to report
        return self.base_s + self.s_per_mebibyte * size / _MEBIBYTE


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of a file: `info` where it can be decoded from start to end, otherwise the `reason` why not."""

    path: Path
    sha256: str = ""
    info: MediaInfo | None = None
    reason: str = ""


def probe_file(path: Path, cache_dir: Path) -> Probe:
    """Hash, probe and decode a file once; what was found is kept in `cache_dir` by content, decoder and this code."""
    try:
        digest = sha256_file(path)
        cached = cache_dir / f"{sha256_json([digest, decoder_version(), hash_code()])[:32]}.json"
        found = read_json(cached) if cached.is_file() else _decode(path)
        write_json(cached, found)
    except (OSError, MemoryError) as error:
        return Probe(path, reason=f"it cannot be read: {error or type(error).__name__}")
    return Probe(path, digest, MediaInfo(**found["info"]) if found["info"] else None, found["reason"])


def _decode(path: Path) -> dict[str, Any]:
    try:
        info = probe(path)
        check_decodable(path)
    except UndecodableError as error:
        return {"info": None, "reason": error.reason}
    return {"info": asdict(info), "reason": ""}


class _Worker:
    """A child process that probes one file after the other until its connection closes."""

    path: Path | None = None  # what it is at work on

    def __init__(self, cache_dir: Path, budget: ProbeBudget) -> None:
        self._cache_dir = cache_dir
        self._budget = budget
        self._start()

    def give(self, path: Path) -> None:
        self.path = path
        self.deadline_s = time.monotonic() + self._budget.compute_time_s(path)
        with suppress(ConnectionError):  # of a process that is dead already, `take` says so
            self.connection.send(path)

    def take(self) -> Probe:
        """Receive the probe of its file; where the process died of it, say so and start another."""
        try:
            found: Probe = self.connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return self._replace(f"the decoder's process ended with code {self._process.exitcode}")
        self.path = None
        return found

    def give_up(self) -> Probe:
        """End a process that takes too long, and start another."""
        assert self.path is not None
        return self._replace(f"decoding took longer than {self._budget.compute_time_s(self.path):.0f} s")

    def end(self) -> None:
        """End the process: at once where it is at work, otherwise it ends by itself as its connection closes."""
        self.connection.close()
        if self.path is None:
            self._process.join(timeout=5.0)
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._cache_dir, self._budget.memory_bytes), daemon=True)
        self._process.start()
        theirs.close()

    def _replace(self, reason: str) -> Probe:
        assert self.path is not None
        self.end()
        found = Probe(self.path, reason=reason)
        self.path = None
        self._start()
        return found


def _serve(connection: Connection, cache_dir: Path, memory_bytes: int) -> None:
    die_with_parent()
    if sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    while True:
        try:
            path = connection.recv()
        except EOFError:
            return
        connection.send(probe_file(path, cache_dir))


def probe_files(
    paths: Sequence[Path], *, cache_dir: Path, num_workers: int, budget: ProbeBudget | None = None
) -> Iterator[Probe]:
    """Yield a probe of every file, in any order; a file that ends or stops its process gets that as its reason."""
    budget = budget or ProbeBudget()
    waiting = deque(paths)
    workers = [_Worker(cache_dir, budget) for _ in range(min(num_workers, len(waiting)))]
    try:
        while waiting or any(worker.path for worker in workers):
            for worker in workers:
                if waiting and worker.path is None:
                    worker.give(waiting.popleft())
            busy = [worker for worker in workers if worker.path]
            remaining_s = min(worker.deadline_s for worker in busy) - time.monotonic()
            ready = wait([worker.connection for worker in busy], timeout=max(0.0, remaining_s))
            for worker in busy:
                if worker.connection in ready:
                    yield worker.take()
                elif time.monotonic() > worker.deadline_s:
                    yield worker.give_up()
    finally:
        for worker in workers:
            worker.end()

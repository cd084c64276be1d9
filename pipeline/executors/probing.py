"""Probing of video files in child processes with a budget of time and memory; a bad file affects no other."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from corpus.files import NoRoomError, read_json, sha256_file, sha256_json, write_json
from corpus.isolation import Budget, Failure, Report, Success, run_isolated
from corpus.media import UndecodableError, decoder_version, examine
from corpus.media_info import MediaInfo, Probe
from pipeline.identity import hash_code

PROBE_BUDGET = Budget(silence_s=60.0)


def probe_file(path: Path, cache_dir: Path) -> Probe:
    """Hash, probe and decode a file once; `cache_dir` keeps the result by content, decoder and this code."""
    try:
        digest = sha256_file(path)
        cached = cache_dir / f"{sha256_json([digest, decoder_version(), hash_code(probe_file)])[:32]}.json"
        found = _read_cached(cached) or _decode(path)
    except OSError as error:
        return Probe(path, reason=f"it cannot be read: {error}")
    with suppress(NoRoomError):  # a full disk under the cache is no fault of the video
        write_json(cached, found)
    return Probe(path, digest, _build_info(found["info"]) if found["info"] else None, found["reason"])


def _build_info(row: dict[str, Any]) -> MediaInfo:
    return MediaInfo(**{**row, "notes": tuple(row["notes"])})


def _read_cached(path: Path) -> dict[str, Any] | None:
    """Return the cached result, or None if there is no readable one."""
    try:
        found: dict[str, Any] = read_json(path)
    except (FileNotFoundError, ValueError):
        return None
    return found


def _decode(path: Path) -> dict[str, Any]:
    try:
        info = examine(path)
    except UndecodableError as error:
        return {"info": None, "reason": error.reason}
    return {"info": asdict(info), "reason": ""}


def probe_files(paths: Sequence[Path], *, cache_dir: Path, num_workers: int, budget: Budget = PROBE_BUDGET) -> Iterator[Probe]:
    """Yield a probe of every file, in any order; a file that crashes or stalls its process gets that as its reason."""
    work = partial(_probe_file, cache_dir=cache_dir)
    for event in run_isolated(work, paths, num_workers=num_workers, budget=budget):
        if isinstance(event, Success):
            yield event.value
        elif isinstance(event, Failure):
            yield Probe(event.path, reason=event.reason)


def _probe_file(path: Path, report: Report, *, cache_dir: Path) -> Probe:
    return probe_file(path, cache_dir)

"""DVC cache for the pipelines in tests, kept between test runs, so that stages with unchanged inputs do not run again.

DVC detects changed inputs, except the machine and the installed packages, so each combination of those has its own cache.
A checkout gets a copy of the cache, because tests change it.
"""

import hashlib
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".cache" / "tests"
LIMIT_BYTES = 512 * 2**20  # changed code leaves old results behind; a larger cache is emptied


@contextmanager
def kept_cache(checkout: Path, name: str) -> Iterator[None]:
    """Copy the cache of this name from earlier runs into a checkout, and keep the additions of the block."""
    kept, own = HOME / f"{name}-{_identify_machine()}", checkout / ".dvc" / "cache"
    HOME.mkdir(parents=True, exist_ok=True)
    lock = FileLock(HOME / f"{name}.lock")
    with lock:
        if kept.is_dir() and measure_bytes(kept) <= LIMIT_BYTES:
            shutil.copytree(kept, own, dirs_exist_ok=True)
    yield
    with lock:
        if list_runs(own) != list_runs(kept):
            _replace(kept, own)


def list_runs(cache: Path) -> set[str]:
    """Return the stage runs in a cache."""
    return {path.name for path in (cache / "runs").rglob("*") if path.is_file()}


def measure_bytes(folder: Path) -> int:
    """Return the size of the files of a folder in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _identify_machine() -> str:
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text(encoding="utf-8").splitlines() if processor.exists() else [platform.processor()]
    facts = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    facts += [platform.python_version(), platform.machine(), str(os.cpu_count()), os.environ.get("OMP_NUM_THREADS", "")]
    return hashlib.sha256("\n".join(facts).encode() + (ROOT / "requirements.lock").read_bytes()).hexdigest()[:12]


def _replace(kept: Path, own: Path) -> None:
    incoming = kept.with_name(f"{kept.name}.incoming")
    shutil.rmtree(incoming, ignore_errors=True)
    shutil.copytree(own, incoming)
    shutil.rmtree(kept, ignore_errors=True)
    incoming.rename(kept)

"""Half-written files: outputs of killed stages, and temporary files that were never renamed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipeline.disk.commit_room import find_outs
from pipeline.doctor.findings import Finding
from pipeline.executors.process import find_holder, read_owner
from pipeline.identity.closures import find_run
from pipeline.paths import DATA, SERVICE, find_cache_dir

_UNFINISHED = ("**/.*.tmp", "**/*.part")  # files of `write_bytes`, and unpacked bentos


def find_killed_stages(root: Path) -> Iterator[Finding]:
    """Yield the stages of a checkout that were killed, if their outputs differ from those on record.

    Raises:
        ValueError: when DVC cannot tell the state of the outputs.
    """
    for path in sorted(_find_locks().glob("*.lock")):
        owner = read_owner(path)
        if owner is None or Path(owner.folder) != root.resolve() or find_holder(path) is not None:
            continue
        outs = _find_changed_outs(root, find_run(path.stem).dvc_name)
        if outs:
            what = f"{owner} was killed, and left {', '.join(outs)} half-written"
            yield Finding(what, partial(_remove_outs, path, [root / out for out in outs]))


def _find_locks() -> Path:
    return find_cache_dir() / "locks"


def _find_changed_outs(root: Path, stage: str) -> list[str]:
    """Return the outputs of a stage that exist and differ from those on record."""
    outs = [out for out in find_outs(root / "dvc.yaml", stage) if (root / out).exists()]
    if not outs:
        return []
    command = [sys.executable, "-m", "dvc", "status", "--json", stage]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ValueError(f"dvc status {stage} failed: {done.stderr.strip()}")
    changes = [change for entry in json.loads(done.stdout or "{}").values() for change in entry if isinstance(change, dict)]
    changed = {out for change in changes for out in change.get("changed outs", {})}
    return [out for out in outs if out in changed]


def _remove_outs(lock: Path, outs: list[Path]) -> str:
    """Remove half-written outputs, which the next `dvc repro` writes anew, and the signature of the killed process."""
    for out in outs:
        shutil.rmtree(out) if out.is_dir() and not out.is_symlink() else out.unlink(missing_ok=True)
    os.truncate(lock, 0)
    return f"removed {', '.join(map(str, outs))}; run: cuepoint repro"


def find_unfinished_files(root: Path) -> Iterator[Finding]:
    """Yield the temporary files of killed processes; none while a process of the checkout holds a lock."""
    if any(find_holder(path) for path in _find_locks().glob("*.lock")):
        return
    for folder in (root / DATA, find_cache_dir()):
        for pattern in _UNFINISHED:
            for path in sorted(folder.glob(pattern)):
                if not path.is_relative_to(root / SERVICE):  # a running service owns its files
                    yield Finding(f"{path} was never finished", partial(_remove, path))


def _remove(path: Path) -> str:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return f"removed {path}"

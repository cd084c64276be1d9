"""Rebuilding of a registered version: its code, its changes and its raw data in a new folder, and every stage run again."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import read_json
from pipeline.lineage import LOCK, hash_inputs, read_lock
from pipeline.tracking.champion import CHANGES_FILE, INPUTS_TAG, METRICS
from pipeline.tracking.promotions import fetch_file, read_version

_LOCAL = "rebuilt-from"  # a remote of the new folder: the cache of the checkout that it is made from


class Rebuilt(NamedTuple):
    """The outcome of a rebuild."""

    folder: Path
    same_inputs: bool
    same_metrics: bool


def rebuild(version: str, folder: Path, *, log: Callable[[str], object]) -> Rebuilt:
    """Rebuild a version in a new folder and compare its inputs and metrics with the registered ones.

    Nothing of the pipeline comes from a cache but raw data that `.dvc` files name: every stage runs.

    Raises:
        ValueError: when the folder exists, the version names no commit, or a command fails.
        TrackingError: when the registry cannot be used, or has no such version.
    """
    if folder.exists():
        raise ValueError(f"{folder} exists; name a folder that does not")
    found = read_version(version)
    commit = found.tags.get("git.commit")
    if commit is None:
        raise ValueError(f"version {found.version} names no commit: it was trained outside a git repository")
    log(f"cloning commit {commit} into {folder}")
    _run(["git", "clone", "-q", "--no-checkout", ".", str(folder)], Path())
    _run(["git", "checkout", "-q", "--detach", commit], folder)
    with tempfile.TemporaryDirectory() as name:
        expected = _prepare(found.version, folder, Path(name))
        log("running every stage")
        _run([sys.executable, "-m", "pipeline.dvc.process", "repro"], folder, show=True)
        same_inputs = hash_inputs(read_lock(folder)) == found.tags.get(INPUTS_TAG)
        return Rebuilt(folder, same_inputs, read_json(folder / METRICS) == expected)


def _prepare(version: str, folder: Path, scratch: Path) -> Any:
    """Apply the changes of a version, fetch its raw data, and return its metrics."""
    changes, metrics = (fetch_file(version, name, scratch) for name in (CHANGES_FILE, METRICS.name))
    if metrics is None:
        raise ValueError(f"version {version} has no {METRICS.name} to compare with")
    if changes:
        _run(["git", "apply", "--binary", str(changes)], folder)
    (folder / LOCK).unlink(missing_ok=True)
    tracked = sorted(str(path.relative_to(folder)) for path in folder.glob("data/**/*.dvc"))
    if tracked:
        _run(["dvc", "remote", "add", "--local", "--force", _LOCAL, str(_find_cache())], folder)
        _run(["dvc", "pull", "--remote", _LOCAL, *tracked], folder)
    return read_json(metrics)


def _find_cache() -> Path:
    """Return the folder of this checkout's DVC cache."""
    shown = _run(["dvc", "cache", "dir"], Path()).strip()
    return Path(shown) if shown else Path(".dvc/cache").resolve()


def _run(command: list[str], folder: Path, *, show: bool = False) -> str:
    """Run a command in a folder and return its output."""
    environment = _build_environment(os.environ, folder)
    done = subprocess.run(command, cwd=folder, env=environment, stdout=None if show else subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ValueError(f"`{' '.join(command)}` in {folder.resolve()} ended with exit code {done.returncode}")
    return done.stdout or ""


def _build_environment(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return an environment in which only the folder's own code and settings count."""
    kept = {key: value for key, value in environment.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "PYTHONPATH": str(folder.resolve()), "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"}

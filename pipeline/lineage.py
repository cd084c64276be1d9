"""Lineage of a run: the commit, uncommitted changes, the DVC stage, and the hashes of its inputs."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from corpus.files import sha256_json
from pipeline.tracking.pipeline_run import describe_pipeline

LOCK = Path("dvc.lock")


def collect_lineage(inputs: Iterable[Path]) -> dict[str, str]:
    """Return tags of a run: `git.*`, `dvc.*`, `dvc.md5.<path>` of each input that DVC tracks, and those of the pipeline.

    Unknown tags are left out: those of git without git, of DVC outside DVC, and of untracked inputs.
    """
    md5_of = load_output_hashes(Path("."))
    hashes = {f"dvc.md5.{path}": md5_of[str(path)] for path in inputs if str(path) in md5_of}
    return _describe_git() | _describe_dvc() | hashes | describe_pipeline()


def load_output_hashes(folder: Path) -> dict[str, str]:
    """Return path -> md5 of the outputs recorded in `dvc.lock` and in the `.dvc` files below `folder`/data."""
    found: dict[str, str] = {}
    for dvc_file in sorted(folder.glob("data/**/*.dvc")):
        for out in _read_yaml(dvc_file).get("outs", []):
            found[str((dvc_file.parent / out["path"]).relative_to(folder))] = out.get("md5", "")
    for stage in _read_yaml(folder / "dvc.lock").get("stages", {}).values():
        found |= {out["path"]: out.get("md5", "") for out in stage.get("outs", [])}
    return {path: md5 for path, md5 in found.items() if md5}


def hash_inputs(lock: Mapping[str, Any]) -> str:
    """Return the hash of what a finished pipeline was made from: commands, values, code records and data of every stage.

    Outputs do not count, because the record of a training run names the run. Two equal hashes train once.
    """
    kept = ("cmd", "deps", "params")
    stages = {name: {key: stage[key] for key in kept if key in stage} for name, stage in lock.get("stages", {}).items()}
    return sha256_json(stages)


def read_lock(folder: Path = Path()) -> dict[str, Any]:
    """Return the content of `dvc.lock`, empty without the file."""
    return _read_yaml(folder / LOCK)


def read_changes() -> bytes:
    """Return the uncommitted changes of this checkout as a patch, with new files and without `dvc.lock`; empty without git.

    The patch is made with a copy of git's index, so the user's index does not change.
    """
    index = _run_git("rev-parse", "--path-format=absolute", "--git-path", "index")
    if index is None:
        return b""
    with tempfile.TemporaryDirectory() as folder:
        copy, own = Path(folder) / "index", Path(index.decode().strip())
        if own.is_file():
            shutil.copyfile(own, copy)
        environment = {**os.environ, "GIT_INDEX_FILE": str(copy)}
        if _run_git("add", "--all", environment=environment) is None:
            return b""
        return _run_git("diff", "--cached", "--binary", "HEAD", "--", ".", f":(exclude){LOCK}", environment=environment) or b""


def _read_yaml(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def _describe_git() -> dict[str, str]:
    commit, diff = _run_git("rev-parse", "HEAD"), _run_git("diff", "HEAD")
    if commit is None or diff is None:
        return {}
    tags = {"git.commit": commit.decode().strip(), "git.dirty": str(bool(diff)).lower()}
    branch = (_run_git("branch", "--show-current") or b"").decode().strip()  # empty for a detached HEAD
    tags |= {"git.branch": branch} if branch else {}
    return tags | ({"git.diff_sha256": hashlib.sha256(diff).hexdigest()} if diff else {})


def _run_git(*arguments: str, environment: Mapping[str, str] | None = None) -> bytes | None:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=True, timeout=30, env=environment).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _describe_dvc() -> dict[str, str]:
    names = {"dvc.stage": "DVC_STAGE", "dvc.exp.name": "DVC_EXP_NAME", "dvc.exp.baseline": "DVC_EXP_BASELINE_REV"}
    return {tag: os.environ[variable] for tag, variable in names.items() if os.environ.get(variable)}

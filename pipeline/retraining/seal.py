"""The seal of a finished pipeline, the second phase of lineage: nothing is stale, and DVC's remote holds every output.

The first phase is the start of each training, which tags its run with the commit and the hashes of its inputs.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from corpus.files import read_json, sha256_file, write_json
from pipeline import paths
from pipeline.dvc.process import DvcError, run_dvc
from pipeline.lineage import LOCK, hash_inputs, read_lock
from pipeline.tracking.promotions import tag_runs
from pipeline.tracking.tracked_evaluation import read_run_ids

SEALED_TAG = "cuepoint.sealed"
NO_REMOTE = "sealed; no DVC remote is configured, so only this machine holds the data (to add one, run: dvc remote add -d ...)"
PUSHED = "sealed; DVC's remote holds every output"


class Seal(NamedTuple):
    """Proof that the outputs of the working tree belong together."""

    lock_sha256: str
    inputs_sha256: str
    note: str
    time: str  # ISO 8601, UTC


class UnsealedError(RuntimeError):
    """The outputs of the working tree do not belong together, or are not kept."""


def seal(log: Callable[[str], object]) -> Seal:
    """Seal the finished pipeline of this checkout: check, push, and tag the training runs with the hash of `dvc.lock`.

    Raises:
        UnsealedError: when a stage is stale, or the push failed.
        TrackingError: when MLflow cannot be used.
    """
    before = sha256_file(LOCK)
    _run(["status", "--quiet"], log, "the working tree changed while the pipeline ran, so its outputs do not belong together")
    note = _push(log)
    if sha256_file(LOCK) != before:
        raise UnsealedError(f"{LOCK} changed while it was sealed; run: cuepoint retrain")
    time = datetime.now(UTC).isoformat(timespec="seconds")
    elsewhere = tag_runs(read_run_ids(paths.CHECKPOINTS), {"dvc.lock.sha256": before, SEALED_TAG: time})
    if elsewhere:
        runs = ", ".join(role.removesuffix(".run_id") for role in elsewhere)
        note += f"; trained elsewhere, so that this MLflow lacks their runs: {runs}"
        log(note)
    sealed = Seal(before, hash_inputs(read_lock()), note, time)
    write_json(find_seal(), sealed._asdict())
    return sealed


def read_seal() -> Seal:
    """Return the seal of the present `dvc.lock`.

    Raises:
        UnsealedError: when there is none.
    """
    path = find_seal()
    sealed = Seal(**read_json(path)) if path.is_file() else None
    if sealed is None or not LOCK.is_file() or sealed.lock_sha256 != sha256_file(LOCK):
        raise UnsealedError("the run is not sealed: its pipeline did not end, or changed since; run: cuepoint retrain")
    return sealed


def find_seal() -> Path:
    """Return the file that holds the seal of this checkout."""
    return paths.find_cache_dir() / "retraining" / "seal.json"


def _push(log: Callable[[str], object]) -> str:
    """Push every output to the default remote, if there is a remote; return the note of the seal."""
    if not run_dvc(["remote", "list"], log=lambda _: None).strip():
        log(NO_REMOTE)
        return NO_REMOTE
    _run(["push"], log, "dvc push failed, so the outputs are not kept")
    return PUSHED


def _run(arguments: list[str], log: Callable[[str], object], problem: str) -> None:
    try:
        run_dvc(arguments, log=log)
    except DvcError as error:
        raise UnsealedError(f"{problem}: {str(error).splitlines()[-1]}") from error

"""The first champion and the registered files of a finished pipeline.

Only the gate of the flow `retrain` replaces a champion: a point estimate on the validation split cannot tell luck from gain.
"""

import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import read_json, sha256_file
from pipeline import paths
from pipeline.lineage import LOCK, collect_lineage, hash_inputs, read_changes, read_lock
from pipeline.tracking.promotions import describe_user, promote
from pipeline.tracking.server import DIGEST_TAG, read_champion, register_bundle
from pipeline.tracking.tracked_evaluation import read_run_ids

RECALL, MEAN_IOU = "R1_iou0.5", "mIoU"
METRICS = paths.REPORTS / "evaluation" / "metrics.json"
BENTO_FILE, CHANGES_FILE = "cuepoint.bento", "changes.patch"
LOCK_TAG, INPUTS_TAG = "dvc.lock.sha256", "cuepoint.inputs_sha256"


class Decision(NamedTuple):
    """Whether the challenger becomes the champion, and why."""

    accepted: bool
    reason: str


def require_finite(figures: Mapping[str, Any]) -> Decision | None:
    """Return a rejection when a validation figure of the localizer is missing or not finite, else None."""
    for name in (RECALL, MEAN_IOU):
        value = figures.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            return Decision(False, f"the challenger's validation {name} is {value!r}, not a finite number")
    return None


def challenge_champion() -> Decision:
    """Register the working tree's bento as the first champion; a present champion stays. A second call changes nothing.

    Raises:
        TrackingError: when the registry cannot be used; the alias does not move.
        OSError: when a file of the finished pipeline is missing.
    """
    figures = read_validation_figures(read_json(METRICS))
    present = read_champion()
    digest = sha256_file(paths.BENTO / BENTO_FILE)
    if present is not None and present.tags.get(DIGEST_TAG) == digest:
        return Decision(False, f"this bundle is already the champion (version {present.version})")
    if present is not None:
        return Decision(
            False, f"version {present.version} is the champion; to compare it with this bundle, run: cuepoint retrain"
        )
    rejection = require_finite(figures)
    if rejection:
        return rejection
    version = register_working_tree(digest, figures)
    promote(version, who=describe_user(), why="there was no champion")
    return Decision(True, f"there was no champion; {_describe(figures)}; it is now version {version}")


def read_validation_figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the localizer's figures on the validation split, empty if the split has none."""
    figures = metrics.get("val", {}).get("localizer", {})
    return {name: figures[name] for name in (RECALL, MEAN_IOU) if name in figures}


def register_working_tree(digest: str, figures: Mapping[str, Any]) -> str:
    """Store bento, bundle manifest, metrics, lock and uncommitted changes as one version with its lineage; return the version."""
    parts = [paths.BENTO / BENTO_FILE, paths.BUNDLE / "manifest.json", METRICS, LOCK]
    tags = collect_lineage([paths.CORPUS, paths.FEATURES, paths.BUNDLE, paths.INDEX, paths.BENTO])
    tags |= read_run_ids(paths.CHECKPOINTS) | {LOCK_TAG: sha256_file(LOCK), INPUTS_TAG: hash_inputs(read_lock())}
    changes = read_changes()
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            shutil.copyfile(part, Path(folder) / part.name)
        if changes:
            (Path(folder) / CHANGES_FILE).write_bytes(changes)
        return register_bundle(Path(folder), digest=digest, metrics={f"val/{name}": figures[name] for name in figures}, tags=tags)


def _describe(figures: Mapping[str, Any]) -> str:
    return f"validation {RECALL} {figures[RECALL]:.4f}, {MEAN_IOU} {figures[MEAN_IOU]:.4f}"

"""Champion selection: promotes a challenger that beats the champion on the validation split."""

import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import read_json, sha256_file
from pipeline import paths
from pipeline.lineage import collect_lineage
from pipeline.tracking.server import DIGEST_TAG, read_champion, register_bundle, set_champion

RECALL, MEAN_IOU = "R1_iou0.5", "mIoU"
METRICS = paths.REPORTS / "evaluation" / "metrics.json"
BENTO_FILE = "cuepoint.bento"


class Decision(NamedTuple):
    """Whether the challenger becomes the champion, and why."""

    accepted: bool
    reason: str


def judge(challenger: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Decision:
    """Compare the localizer's validation figures: R@1 at IoU 0.5, then mean IoU if it is equal; a tie keeps the champion.

    A challenger with missing or infinite figures is rejected, even without a champion.
    """
    for name in (RECALL, MEAN_IOU):
        value = challenger.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            return Decision(False, f"the challenger's validation {name} is {value!r}, not a finite number")
    if champion is None:
        return Decision(True, f"there was no champion; {_describe(challenger)}")
    ours, theirs = (tuple(figures[name] for name in (RECALL, MEAN_IOU)) for figures in (challenger, champion))
    outcome = "better than" if ours > theirs else "as good as" if ours == theirs else "worse than"
    return Decision(ours > theirs, f"{_describe(challenger)}: {outcome} the champion with {_describe(champion)}")


def challenge_champion() -> Decision:
    """Register the working tree's bento if it beats the champion, and move the alias to it; a second call changes nothing.

    Raises:
        TrackingError: when the registry cannot be used; the alias does not move.
        OSError: when a file of the finished pipeline is missing.
    """
    figures = read_validation_figures(read_json(METRICS))
    present = read_champion()
    digest = sha256_file(paths.BENTO / BENTO_FILE)
    if present is not None and present.tags.get(DIGEST_TAG) == digest:
        return Decision(False, f"this bundle is already the champion (version {present.version})")
    decision = judge(figures, None if present is None else _read_registered(present.metrics))
    if not decision.accepted:
        return decision
    version = register_working_tree(digest, figures)
    set_champion(version)
    return Decision(True, f"{decision.reason}; it is now version {version}")


def read_validation_figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the localizer's figures on the validation split, empty if the split has none."""
    figures = metrics.get("val", {}).get("localizer", {})
    return {name: figures[name] for name in (RECALL, MEAN_IOU) if name in figures}


def _read_registered(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: metrics.get(f"val/{name}", -math.inf) for name in (RECALL, MEAN_IOU)}


def register_working_tree(digest: str, figures: Mapping[str, Any]) -> str:
    """Store bento, bundle manifest, metrics and lock as one version with its lineage, and return the version."""
    parts = [paths.BENTO / BENTO_FILE, paths.BUNDLE / "manifest.json", METRICS, Path("dvc.lock")]
    tags = collect_lineage([paths.CORPUS, paths.FEATURES, paths.BUNDLE, paths.INDEX, paths.BENTO])
    tags |= {"dvc.lock.sha256": sha256_file(Path("dvc.lock"))}
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            shutil.copyfile(part, Path(folder) / part.name)
        return register_bundle(Path(folder), digest=digest, metrics={f"val/{name}": figures[name] for name in figures}, tags=tags)


def _describe(figures: Mapping[str, Any]) -> str:
    return f"validation {RECALL} {figures[RECALL]:.4f}, {MEAN_IOU} {figures[MEAN_IOU]:.4f}"

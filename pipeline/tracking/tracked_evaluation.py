"""An evaluation as a tracked run: its figures, its pictures and its page."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.tracking.tracked_run import TrackedRun, flatten

_SHOWN = ("*.html", "*.png", "*.svg", "*/*.svg", "metrics.json")


def track_evaluation(report_dir: Path, *, cache_dir: Path, params: Mapping[str, Any], tags: Mapping[str, str]) -> str | None:
    """Report a finished evaluation and return the run's id, None if the server could not be used."""
    files = {str(path.relative_to(report_dir)): path.read_bytes() for shown in _SHOWN for path in sorted(report_dir.glob(shown))}
    figures = flatten(json.loads(files["metrics.json"]), separator="/")
    metrics = {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as state:
        run = TrackedRun(cache_dir / "tracking", Path(state), name="evaluate", params=flatten(params), tags=tags)
        return run.end("FINISHED", metrics=metrics, files=files)


def read_run_ids(checkpoints_dir: Path) -> dict[str, str]:
    """Return tags with the training run of each role, as far as known."""
    paths = {path.parent.name: path for path in sorted(checkpoints_dir.glob("*/run.json"))}
    ids = {role: json.loads(path.read_text(encoding="utf-8"))["run_id"] for role, path in paths.items()}
    return {f"{role}.run_id": run_id for role, run_id in ids.items() if run_id}

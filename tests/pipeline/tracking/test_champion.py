"""The first champion, the registered files, and that a point estimate never replaces a champion."""

import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.files import sha256_file
from pipeline.tracking.champion import challenge_champion, read_validation_figures, require_finite
from pipeline.tracking.promotions import read_moves
from pipeline.tracking.server import fetch_version, read_champion

PRESENT = {"R1_iou0.5": 0.5, "mIoU": 0.4}


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "0.9"])
@pytest.mark.parametrize("name", ["R1_iou0.5", "mIoU"])
def test_a_figure_that_is_no_finite_number_is_rejected(name: str, value: Any) -> None:
    rejection = require_finite({**PRESENT, name: value})
    assert rejection == (False, f"the challenger's validation {name} is {value!r}, not a finite number")


def test_a_missing_figure_is_rejected() -> None:
    assert require_finite({"R1_iou0.5": 0.9}) == (False, "the challenger's validation mIoU is None, not a finite number")
    assert require_finite(PRESENT) is None


def test_a_split_without_queries_has_no_figures() -> None:
    assert read_validation_figures({"val": {"queries": 0}, "test": {"localizer": PRESENT}}) == {}


@pytest.mark.slow
def test_the_first_bundle_becomes_the_champion_and_a_better_figure_does_not_replace_it(
    finished_pipeline: Path, finish: Callable[..., None]
) -> None:
    finish(b"first", recall=0.5)
    assert challenge_champion().accepted
    assert challenge_champion() == (False, "this bundle is already the champion (version 1)")
    finish(b"better", recall=0.6)
    decision = challenge_champion()
    assert decision == (False, "version 1 is the champion; to compare it with this bundle, run: cuepoint retrain")
    present = read_champion()
    assert present is not None
    assert present.version == "1"
    assert present.metrics["val/R1_iou0.5"] == 0.5
    assert present.tags["dvc.lock.sha256"] == sha256_file(Path("dvc.lock"))
    files = fetch_version(present.version, finished_pipeline / "fetched")
    assert (files / "cuepoint.bento").read_bytes() == b"first"
    assert {path.name for path in files.iterdir()} == {"cuepoint.bento", "manifest.json", "metrics.json", "dvc.lock"}
    (move,) = read_moves()
    assert (move.version, move.previous, move.why) == ("1", None, "there was no champion")


@pytest.mark.slow
def test_uncommitted_changes_are_kept_with_the_version_as_a_patch(finished_pipeline: Path, finish: Callable[..., None]) -> None:
    finish(b"first", recall=0.5)
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    Path(".gitignore").write_text("data/\n.cache/\n")
    for command in (["init", "-q"], ["add", ".gitignore", "dvc.lock"], [*author, "commit", "-qm", "Start"]):
        subprocess.run(["git", *command], check=True)
    Path("new.py").write_text("x = 1\n")
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n# changed\n")
    challenge_champion()
    patch = (fetch_version("1", finished_pipeline / "fetched") / "changes.patch").read_text()
    assert "+++ b/new.py" in patch
    assert "dvc.lock" not in patch
    assert subprocess.run(["git", "diff", "--cached", "--quiet"], check=False).returncode == 0, "the index changed"

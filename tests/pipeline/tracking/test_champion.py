"""Champion selection: the rule that moves the alias `champion`, and the registered files."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.files import sha256_file
from pipeline.tracking import champion
from pipeline.tracking.champion import challenge_champion, judge, read_validation_figures
from pipeline.tracking.server import fetch_version, read_champion

PRESENT = {"R1_iou0.5": 0.5, "mIoU": 0.4}


@pytest.mark.parametrize(
    ("recall", "mean_iou", "accepted"),
    [
        (0.6, 0.4, True),
        (0.6, 0.3, True),  # recall decides
        (0.5, 0.41, True),  # mean IoU if recall is equal
        (0.5, 0.4, False),  # a tie keeps the champion
        (0.5, 0.39, False),
        (0.4, 0.9, False),
    ],
)
def test_recall_decides_then_mean_iou_and_a_tie_keeps_the_champion(recall: float, mean_iou: float, accepted: bool) -> None:
    assert judge({"R1_iou0.5": recall, "mIoU": mean_iou}, PRESENT).accepted is accepted


def test_the_reason_names_both_sides() -> None:
    decision = judge({"R1_iou0.5": 0.45, "mIoU": 0.5}, PRESENT)
    expected = "validation R1_iou0.5 0.4500, mIoU 0.5000: worse than the champion with validation R1_iou0.5 0.5000, mIoU 0.4000"
    assert decision == (False, expected)


def test_the_first_bundle_becomes_the_champion() -> None:
    assert judge(PRESENT, None) == (True, "there was no champion; validation R1_iou0.5 0.5000, mIoU 0.4000")


@pytest.mark.parametrize("champion_figures", [None, PRESENT])
@pytest.mark.parametrize("value", [math.nan, math.inf, None, "0.9"])
@pytest.mark.parametrize("name", ["R1_iou0.5", "mIoU"])
def test_a_figure_that_is_no_finite_number_is_rejected(name: str, value: Any, champion_figures: Any) -> None:
    decision = judge({**PRESENT, name: value}, champion_figures)
    assert decision == (False, f"the challenger's validation {name} is {value!r}, not a finite number")


def test_a_missing_figure_is_rejected() -> None:
    assert judge({"R1_iou0.5": 0.9}, PRESENT) == (False, "the challenger's validation mIoU is None, not a finite number")


def test_a_split_without_queries_has_no_figures() -> None:
    assert read_validation_figures({"val": {"queries": 0}, "test": {"localizer": PRESENT}}) == {}


@pytest.mark.slow
def test_the_alias_follows_the_better_bundle_and_names_its_bytes_and_lock(
    finished_pipeline: Path, finish: Callable[..., None]
) -> None:
    finish(b"first", recall=0.5)
    assert challenge_champion().accepted
    assert challenge_champion() == (False, "this bundle is already the champion (version 1)")
    finish(b"worse", recall=0.4)
    assert not challenge_champion().accepted
    finish(b"better", recall=0.6)
    assert challenge_champion().reason.endswith("it is now version 2")
    present = read_champion()
    assert present is not None
    assert present.version == "2"
    assert present.metrics["val/R1_iou0.5"] == 0.6
    assert present.tags["dvc.lock.sha256"] == sha256_file(Path("dvc.lock"))
    files = fetch_version(present.version, finished_pipeline / "fetched")
    assert (files / "cuepoint.bento").read_bytes() == b"better"
    assert {path.name for path in files.iterdir()} == {"cuepoint.bento", "manifest.json", "metrics.json", "dvc.lock"}


@pytest.mark.slow
def test_a_kill_between_registration_and_alias_leaves_the_old_champion_until_the_next_run(
    finish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(b"first", recall=0.5)
    challenge_champion()
    finish(b"better", recall=0.6)

    def die(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(champion, "set_champion", die)
        with pytest.raises(KeyboardInterrupt):
            challenge_champion()
    before = read_champion()
    assert before is not None
    assert before.version == "1"
    assert challenge_champion().reason.endswith("it is now version 2")

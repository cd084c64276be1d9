"""The pages of measured figures: equality with the committed records, and arithmetic by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.default_run import LUCK, PAGE, RECORDS, load_records
from benchmarks.luck_page import Answered, Luck, build_section, find_fall
from benchmarks.results_page import (
    build_page,
    describe_collection,
    describe_spread,
    list_measured,
    select_runs,
    spread,
)

ROOT = Path(__file__).resolve().parents[1]


def make_training(name: str, *epochs: str, best_epoch: int = 0) -> dict[str, Any]:
    """Return the record of a training of the localizer whose first answers are these hits, two sentences a video."""
    return {
        "kind": "localizer",
        "name": name,
        "commit": "abcdef1",
        "machine": "2 cores",
        "best_epoch": best_epoch,
        "scores": {
            "videos": [0, 0, 1, 1],
            "epochs": [{"hits": hits, "figures": {"R1_iou0.5": hits.count("1") / len(hits)}} for hits in epochs],
        },
    }


def test_the_committed_page_is_built_from_the_committed_records() -> None:
    page = build_page(load_records(RECORDS), build_section(load_records(LUCK)))
    assert PAGE.read_text(encoding="utf-8") == page, "docs/results.md is stale; run: python tests/benchmarks/default_run.py page"


def test_readme_quotes_the_figures_of_the_committed_records() -> None:
    default, readme = select_runs(load_records(RECORDS)).default, (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(default) > 1
    assert list_measured(default) in readme
    assert describe_collection(default) in readme


@pytest.mark.parametrize("default", ["default", "before"])
def test_a_default_has_five_seeds_and_the_first_under_other_instructions(default: str) -> None:
    runs = getattr(select_runs(load_records(RECORDS)), default)
    same = [record["seed"] for record in runs if record["isa"] == "avx2"]
    other = [record["seed"] for record in runs if record["isa"] != "avx2"]
    assert (same, other) == ([2026, 2027, 2028, 2029, 2030], [2026])


def test_the_spread_over_runs_is_the_sample_deviation_and_the_mean_interval() -> None:
    groups = [{"x": 0.6, "x_low": 0.57, "x_high": 0.61}, {"x": 0.8, "x_low": 0.76, "x_high": 0.83}]
    found = spread(groups, "x")
    assert found.mean == pytest.approx(0.7)
    assert found.deviation == pytest.approx(np.std([0.6, 0.8], ddof=1))
    assert (found.low, found.high) == pytest.approx((0.665, 0.72))
    assert describe_spread(found) == "70.0 ± 14.1 [66.5, 72.0]"


def test_a_figure_without_an_interval_gives_a_mean_without_one() -> None:
    found = spread([{"x": 0.5, "x_low": None, "x_high": None}, {"x": 0.7, "x_low": 0.6, "x_high": 0.8}], "x")
    assert describe_spread(found) == "60.0 ± 14.1"


def test_a_difference_between_trainings_is_paired_and_right_minus_left() -> None:
    luck = Luck([make_training("a", "1010"), make_training("b", "1111")])
    found = luck.compare(Answered("a"), Answered("b"))
    assert (found.left, found.right, found.difference) == (0.5, 1.0, 0.5)
    assert (found.low, found.high) == (0.5, 0.5)  # each video gains one of two sentences, for every draw of videos


def test_the_choice_of_the_epoch_compares_two_epochs_of_one_training() -> None:
    luck = Luck([make_training("a", "1110", "1000", best_epoch=0)])
    assert luck.compare(Answered("a"), Answered("a", last=True)).difference == pytest.approx(-0.5)


def test_an_experiment_without_its_records_has_no_row() -> None:
    page = build_section([make_training("native", "1010"), make_training("localizer-avx2", "1111")])
    assert "| localizer | instructions |" in page
    assert "| average of pretraining" not in page
    assert "Experiments are missing; run: python tests/benchmarks/luck.py run" in page


def test_the_fall_is_the_end_of_the_first_epoch_below_the_limit() -> None:
    curve = [
        {"step": 80.0, "clip_to_sentences": 2.0},
        {"step": 160.0, "clip_to_sentences": 0.5},
        {"step": 240.0, "clip_to_sentences": 0.7},
    ]
    assert find_fall(curve) == 160
    assert find_fall(curve[:1]) is None


def test_every_record_has_its_machine_and_settings() -> None:
    for line in LUCK.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        assert {"kind", "name", "commit", "machine"} <= set(record)

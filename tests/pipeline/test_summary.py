"""The closing table: sections of a finished pipeline, and missing pieces."""

from pathlib import Path

import pytest

from corpus.files import write_bytes, write_json, write_jsonl
from pipeline.summary import MISSING, Inputs, build_sections, choose_example, describe_quality, list_commands, print_sections
from pipeline.timings import Timing

GROUP = {
    "queries": 40,
    "videos": 8,
    "localizer": {
        "R1_iou0.5": 0.625,
        "R1_iou0.5_low": 0.5,
        "R1_iou0.5_high": 0.75,
        "mIoU": 0.5,
        "mIoU_low": None,
        "mIoU_high": None,
    },
    "floors": {"blind": {"R1_iou0.5": 0.2, "mIoU": 0.25}, "prior": {"R1_iou0.5": None, "mIoU": None}},
    "best_floor": "blind",
    "collection": {"videos": 8, "R10": 0.5, "R10_low": 0.4, "R10_high": 0.6, "chance_R10": 0.02},
}
MISS = {"qid": "1", "video_id": "v1", "text": "a dog barks", "truth": [[1, 2]], "found": [[8.0, 9.0, 0.9]], "iou": 0.0}
HIT = {"qid": "2", "video_id": "v2", "text": "the 'red' circle moves", "truth": [[1, 4]], "found": [[1.0, 3.5, 0.8]], "iou": 0.83}


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return Inputs(data_dir=tmp_path / "data", timings_dir=tmp_path / "timings", split="test")


def read_table(inputs: Inputs) -> dict[str, dict[str, str]]:
    return {section.title: dict(section.rows) for section in build_sections(inputs)}


def fill(inputs: Inputs) -> None:
    evaluation = inputs.data_dir / "reports" / "evaluation"
    write_json(evaluation / "metrics.json", {"test": GROUP})
    write_jsonl(evaluation / "per_query.jsonl", [MISS, HIT])
    write_bytes(evaluation / "index.html", b"<html>")
    write_bytes(inputs.data_dir / "bundle" / "networks" / "a.onnx", bytes(1_500_000))
    for stage, wall_s in (("render", 2.0), ("train@localizer", 30.0)):
        timing = Timing(wall_s=wall_s, cpu_s=2 * wall_s, peak_bytes=200_000_000)
        write_json(inputs.timings_dir / f"{stage}.json", timing.model_dump())


def test_the_table_shows_an_answer_figures_cost_sizes_and_commands(inputs: Inputs) -> None:
    fill(inputs)
    table = read_table(inputs)
    assert table["Example"] == {
        "asked": "\"the 'red' circle moves\"",
        "found": "v2, 1.0 to 3.5 s (score 0.80)",
        "true": "1.0 to 4.0 s (IoU 0.83)",
    }
    assert table["Figures (test split)"] == {
        "R@1, IoU > 0.5": "62.5 % (50.0 to 75.0)   best floor (blind) 20.0 %",
        "mean IoU": "50.0 %   best floor (blind) 25.0 %",
        "collection R@10 of 8 videos": "50.0 % (40.0 to 60.0), 25.0 times chance (2.00 %)",
        "measured on": "40 sentences about 8 videos",
    }
    assert list(table["Time"]) == ["train@localizer", "render", "all stages"]
    assert table["Time"]["all stages"].startswith("32.0 s (CPU 64.0 s)")
    assert table["Sizes"]["bundle"] == "1.5 MB"
    assert table["Reports"]["report"].endswith("reports/evaluation/index.html")
    assert table["Next"]["search"] == "make search QUERY=\"the 'red' circle moves\""


def test_missing_pieces_are_shown_as_missing(inputs: Inputs) -> None:
    table = read_table(inputs)
    assert table["Example"] == {"an answer": MISSING}
    assert table["Figures (test split)"] == {"figures": MISSING}
    assert table["Time"] == {"stages": "none ran in this checkout; all results came from DVC's cache"}
    assert set(table["Sizes"].values()) == set(table["Reports"].values()) == {MISSING}


def test_a_split_without_queries_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "metrics.json", {"val": {"queries": 0, "videos": 3}})
    assert describe_quality(tmp_path / "metrics.json", "val") == [("figures", "the split 'val' has no queries")]


def test_without_a_good_answer_the_first_one_is_shown(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "per_query.jsonl", [MISS])
    assert choose_example(tmp_path / "per_query.jsonl") == MISS


def test_a_pipe_gets_plain_lines_that_are_not_wrapped(inputs: Inputs, capsys: pytest.CaptureFixture[str]) -> None:
    fill(inputs)
    print_sections(build_sections(inputs))
    output = capsys.readouterr().out
    assert "best floor (blind) 20.0 %" in output
    assert not set("│╭─\x1b") & set(output)


def test_a_sentence_that_a_shell_would_read_is_quoted() -> None:
    commands = dict(list_commands({"text": 'a "$5" note'}))
    assert commands["search"] == "make search QUERY='a \"$5\" note'"

"""The benchmark of retraining on feedback: overlap, questions about drawn videos, and its page."""

from pathlib import Path

import pytest
import yaml
from feedback_loop import CORPUS, FIRST_SCENE, ROOT, build_page, draw_video, find_iou, set_values

from corpus.moments import Moment
from corpus.shapes.params import ShapesParams

RECORD = {
    "commit": "abc1234",
    "machine": "a processor",
    "date": "2026-01-02",
    "videos": 80,
    "people": {"per_sentence": 2, "error_share": 0.05, "correction_share": 0.5, "aim_s": 0.3},
    "verdicts": {"wrong": 3, "right": 5},
    "annotations": 7,
    "disputed": 1,
    "splits": {
        "test_shifted": {
            "queries": 240,
            "videos": 40,
            "figures": {"mIoU": {"left": 0.2, "right": 0.3, "difference": 0.1, "low": 0.05, "high": 0.15, "p_value": 0.0}},
        }
    },
}


def test_the_page_has_a_row_for_each_split_and_figure() -> None:
    page = build_page(RECORD)
    assert "Verdicts: 5 right, 3 wrong. `cuepoint feedback export` makes 7 annotations" in page
    assert page.endswith("| `test_shifted` | 240 | mIoU | 20.0 | 30.0 | 10.0 [5.0, 15.0] |\n")


def test_an_answer_overlaps_its_moment_by_their_iou() -> None:
    assert find_iou({"start_s": 0.0, "end_s": 2.0}, Moment(1.0, 3.0)) == pytest.approx(1 / 3)


def test_people_ask_about_drawn_moments_of_their_own_videos(tmp_path: Path) -> None:
    size = ShapesParams.model_validate(yaml.safe_load((ROOT / "presets/render/tiny.yaml").read_text(encoding="utf-8")))
    path, questions = draw_video(size, FIRST_SCENE, tmp_path)
    assert path.stat().st_size > 0
    assert len({one.text for one in questions}) == len(questions) > 0
    assert all(one.moment.end_s <= size.longest_s for one in questions)


def test_a_value_is_set_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("corpus: {name: shapes, reader: folder}\nevaluate: {split: test}\n", encoding="utf-8")
    set_values(tmp_path, corpus={"name": CORPUS})
    found = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))
    assert found == {"corpus": {"name": CORPUS, "reader": "folder"}, "evaluate": {"split": "test"}}

"""The page of the bench: built from records alone; the committed page equals the build from the committed records."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from corpus.moments import Floats
from flows.bench.arms import Arm
from flows.bench.catalogue import Catalogue, list_arms, load_catalogue
from flows.bench.chart import Bar, draw_bars
from flows.bench.comparing import compare_records, find_significant
from flows.bench.page import build_files
from flows.bench.records import PAGE, RECORDS, Record, load_records, save_records
from flows.bench.tables import SINGLE
from models.metrics.intervals import Comparison

MakeRecord = Callable[..., Record]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def bench() -> tuple[Catalogue, list[Arm]]:
    """Return the bench of this checkout and its arms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        catalogue = load_catalogue("models")
        return catalogue, list_arms(catalogue)


def draw_iou(mean: float) -> Floats:
    iou = np.clip(np.random.default_rng(3).normal(mean, 0.1, size=48), 0, 1)
    return np.asarray(iou, dtype=np.float32).astype(np.float64)


def make_records(make_record: MakeRecord, arms: list[Arm], *, failed: str = "") -> dict[str, Record]:
    records = {arm.name: make_record(arm, draw_iou(0.3 + 0.01 * place)) for place, arm in enumerate(arms)}
    return records | {arm.name: make_record(arm, reason="not finished after 240 s") for arm in arms if arm.name == failed}


def build(bench: tuple[Catalogue, list[Arm]], records: dict[str, Record]) -> str:
    return build_files(list(records.values()), bench[0].left_out)[PAGE]


def find_rows(page: str, link: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("|") and f"{link}.yaml)" in line]


def test_the_committed_page_is_built_from_the_committed_records(bench: tuple[Catalogue, list[Arm]]) -> None:
    catalogue, _ = bench
    for path, content in build_files(list(load_records(ROOT / RECORDS).values()), catalogue.left_out).items():
        assert (ROOT / path).read_text(encoding="utf-8") == content, f"{path} is stale; run: cuepoint bench page"


def test_every_arm_has_a_row_that_links_its_preset_and_its_run(
    bench: tuple[Catalogue, list[Arm]], make_record: MakeRecord
) -> None:
    _, arms = bench
    page = build(bench, make_records(make_record, arms))
    rows = [line for line in page.splitlines() if line.startswith("|") and "/#/experiments/1/runs/" in line]
    assert len(rows) == len(arms)
    assert all(f"http://127.0.0.1:5000/#/experiments/1/runs/{'f' * 32}) at abcdef1 |" in row for row in rows)
    for link in (part.partition(")")[0] for part in page.split("](../")[1:]):
        assert (ROOT / link).is_file()


def test_rows_are_sorted_by_mean_iou(bench: tuple[Catalogue, list[Arm]], make_record: MakeRecord) -> None:
    _, arms = bench
    page = build(bench, make_records(make_record, arms))
    order = [
        row.split("/localizer/")[1].partition(".yaml")[0]
        for row in page.splitlines()
        if row.startswith("| [") and "/localizer/" in row
    ]
    assert order == [arm.name.partition("/")[2] for arm in reversed(arms) if arm.group == "localizer"]


def test_an_arm_without_figures_is_named_with_its_reason(bench: tuple[Catalogue, list[Arm]], make_record: MakeRecord) -> None:
    _, arms = bench
    records = make_records(make_record, arms, failed="loss/focal")
    page = build(bench, records)
    assert "- `loss/focal`: cut: not finished after 240 s" in page
    assert not find_rows(page, "losses/focal")


def test_the_loss_table_has_the_spread_of_the_presets_own_loss_over_seeds(
    bench: tuple[Catalogue, list[Arm]], make_record: MakeRecord
) -> None:
    _, arms = bench
    records = make_records(make_record, arms)
    for place, arm in enumerate(arm for arm in arms if arm.use in ("own", "repeat")):
        records[arm.name] = make_record(arm, np.full(48, 0.25 + 0.125 * place))
    assert "with 3 seeds its mean IoU ranges from 25.0 to 50.0" in build(bench, records)


def test_a_row_of_one_training_is_marked_and_one_that_has_another_seed_is_not(
    bench: tuple[Catalogue, list[Arm]], make_record: MakeRecord
) -> None:
    _, arms = bench
    rows = [
        line.split(" | ")[0] for line in build(bench, make_records(make_record, arms)).splitlines() if "/#/experiments/" in line
    ]
    repeated = [arm for arm in arms if arm.use in ("own", "repeat")]
    assert len(repeated) > 1
    assert len([row for row in rows if not row.endswith(SINGLE)]) == len(repeated)
    assert all(row.endswith(SINGLE) for row in rows if "seed" not in row and "**" not in row)


def test_the_page_warns_of_single_trainings_before_its_tables(
    bench: tuple[Catalogue, list[Arm]], make_record: MakeRecord
) -> None:
    before_tables = build(bench, make_records(make_record, bench[1])).partition("\n| ")[0]
    assert f"**{SINGLE} marks a row of one training" in before_tables


def test_left_out_names_are_grouped_by_reason(bench: tuple[Catalogue, list[Arm]], make_record: MakeRecord) -> None:
    records = {arm.name: make_record(arm, draw_iou(0.5)) for arm in bench[1][:1]}
    page = build_files(list(records.values()), {"loss": {"a": "too slow", "b": "too slow"}, "localizer": {"c": "too large"}})[
        PAGE
    ]
    assert "- `a`, `b`: loss without an arm: too slow\n- `c`: localizer without an arm: too large\n" in page


def test_without_records_the_page_says_how_to_make_it(bench: tuple[Catalogue, list[Arm]]) -> None:
    assert "No arm has figures yet; `cuepoint bench` runs them." in build(bench, {})


def test_a_difference_is_paired_and_its_sign_is_that_of_the_arm(
    bench: tuple[Catalogue, list[Arm]], make_record: MakeRecord
) -> None:
    _, (first, second, third, *_) = bench
    iou = draw_iou(0.4)
    baseline, better = make_record(first, iou), make_record(second, np.minimum(iou + 0.125, 1.0))
    elsewhere = make_record(third, iou, dataset="e" * 16)
    compared = compare_records(baseline, [baseline, better, elsewhere])
    assert list(compared) == [second.name]
    one = compared[second.name]
    assert one.difference == pytest.approx(0.125, abs=1e-6)
    assert one.low == pytest.approx(0.125, abs=1e-6)  # the arms differ by the same amount in every video
    assert find_significant(compared) == {second.name}


def test_significance_is_that_of_holm() -> None:
    def make(p_value: float | None) -> Comparison:
        return Comparison(0.0, 0.0, 0.0, None, None, p_value)

    # levels 0.05 / 4, / 3, / 2, / 1: the third fails, so the fourth is not tested
    compared = {"c": make(0.03), "a": make(0.001), "d": make(0.04), "b": make(0.016), "none": make(None)}
    assert find_significant(compared) == {"a", "b"}
    assert find_significant({}) == set()


def test_records_survive_a_round_trip_in_the_order_of_their_names(
    bench: tuple[Catalogue, list[Arm]],
    make_record: MakeRecord,
    tmp_path: Path,
) -> None:
    records = make_records(make_record, bench[1], failed="loss/focal")
    save_records(tmp_path / "records.jsonl", records.values())
    again = load_records(tmp_path / "records.jsonl")
    assert again == records
    assert list(again) == sorted(records)
    scores = again["localizer/tan2d"].scores
    assert scores is not None
    assert scores.unpack_iou().mean() == pytest.approx(scores.figures["mIoU"], abs=1e-6)
    assert scores.unpack_videos().tolist() == np.repeat(np.arange(12), 4).tolist()


def test_a_damaged_line_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text('{"arm": 1\n')
    with pytest.raises(ValueError, match=r"records.jsonl:1 is not a record: .*; remove the line to run its arm again"):
        load_records(tmp_path / "records.jsonl")


def test_a_chart_is_drawn_to_scale_and_its_words_are_escaped() -> None:
    bars = [Bar("a < b", "x", 0.4, 0.3, 0.5), Bar("half", "x", 0.2)]
    root = ET.fromstring(draw_bars("A & B", bars, {"x": "#123456", "unused": "#654321"}))
    widths = [
        float(part.attrib["width"]) for part in root.iter() if part.attrib.get("rx") == "2" and part.attrib["height"] == "12"
    ]
    assert widths[0] == pytest.approx(2 * widths[1])
    words = [part.text for part in root.iter() if part.tag.endswith("text")]
    assert {"A & B", "a < b", "40.0", "20.0", "x", "50 %"} <= {*words}
    assert "unused" not in words

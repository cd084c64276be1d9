"""The tables of the page: one row a record with figures, the best first."""

import json
from collections.abc import Mapping, Sequence

from flows.bench.comparing import compare_records, find_significant
from flows.bench.markdown import NO_BREAK, format_table, percent, with_interval
from flows.bench.records import ANSWER, EMBED, PAIR, Record
from models.metrics.intervals import Comparison
from models.metrics.tan2d import MEAN_IOU, name_recall

R50, R70 = name_recall(1, 0.5), name_recall(1, 0.7)
FLOORS = {"prior": "most frequent moments of training", "whole_video": "the whole video", "chance": "chance"}
UP, DOWN = "▲", "▼"
SINGLE = "¹"  # after the name of a row whose values were trained once
_UI = "http://127.0.0.1:5000"  # where `make ui` shows runs
_FIGURES = ("R@1, IoU > 0.5", "R@1, IoU > 0.7", "mean IoU")
_COST = ("parameters", "training, s", "epochs")


def tabulate_localizers(records: Sequence[Record], baseline: Record | None, floors: Sequence[Record]) -> str:
    """Return the table of localizers, with differences from the baseline, above the floors."""
    differences, singles = list_differences(records, baseline), find_singles(records)
    rows = [
        [f"{record.link}{singles[record.arm]}", *_list_figures(record)]
        + [differences[record.arm], *_list_cost(record), _list_latency(record, PAIR), link_run(record)]
        for record in sort_records(records)
    ]
    titles = ["localizer", *_FIGURES, f"against `{baseline.preset}`" if baseline else "difference"]
    floor_rows = [row for record in floors for row in _list_floors(record)]
    return format_table([*titles, *_COST, "ms a video and sentence", "run"], [*rows, *floor_rows])


def tabulate_retrievers(records: Sequence[Record]) -> str:
    """Return the table of retrievers: figures of the search in the whole split, then of the spans in the right video."""
    rows, ordered, singles = [], sort_records(records, "R10"), find_singles(records)
    for record in ordered:
        figures, found = record.require_scores().figures, record.require_scores().others["collection"]
        rows.append(
            [f"{record.link}{singles[record.arm]}"]
            + [with_interval(found, "R1"), with_interval(found, "R10"), _describe_rank(found["median_rank"])]
            + [percent(figures[R50]), with_interval(figures, MEAN_IOU), *_list_cost(record)]
            + [_list_latency(record, EMBED), _list_latency(record, ANSWER), link_run(record)]
        )
    chance = ordered[0].require_scores().others["collection"]
    rows.append(["*chance*", percent(chance["chance_R1"]), percent(chance["chance_R10"]), *[""] * 9])
    titles = ["retriever", "R@1", "R@10", "median rank", "R@1 in the video", "mean IoU in the video", *_COST]
    return format_table([*titles, "ms to embed a video", "ms a sentence in a video", "run"], rows)


def tabulate_losses(records: Sequence[Record], baseline: Record | None) -> str:
    """Return the table of losses, with differences from the preset's own."""
    differences, singles = list_differences(records, baseline), find_singles(records)
    rows = [
        [f"{_label_loss(record)}{singles[record.arm]}", _describe_use(record), *_list_figures(record), differences[record.arm]]
        + [_list_seconds(record), link_run(record)]
        for record in sort_records(records)
    ]
    return format_table(["loss", "use", *_FIGURES, "against the preset's own", "training, s", "run"], rows)


def list_differences(records: Sequence[Record], baseline: Record | None) -> dict[str, str]:
    """Return each arm's mean IoU minus the baseline's, in points, with its interval and a mark if it is significant."""
    compared = compare_records(baseline, records) if baseline else {}
    significant = find_significant(compared)
    shown = {arm: _describe_difference(one, marked=arm in significant) for arm, one in compared.items()}
    return {record.arm: "" for record in records} | shown


def find_singles(records: Sequence[Record]) -> dict[str, str]:
    """Return a mark for each arm trained with one seed only, else an empty text, by arm."""
    values = {record.arm: json.dumps({**record.plan, "seed": None}, sort_keys=True) for record in records}
    trained = list(values.values())
    return {arm: SINGLE if trained.count(value) == 1 else "" for arm, value in values.items()}


def sort_records(records: Sequence[Record], figure: str = MEAN_IOU) -> list[Record]:
    """Sort records, best first, by a figure of the right video or of the collection."""

    def read(record: Record) -> float:
        scores = record.require_scores()
        return {**scores.others.get("collection", {}), **scores.figures}[figure] or 0.0

    return sorted(records, key=lambda record: (-read(record), record.arm))


def link_run(record: Record) -> str:
    """Return the link of an arm's MLflow run, with its commit."""
    if record.run is None:
        return f"not tracked, at {record.commit}"
    address = f"{_UI}/#/experiments/{record.run.experiment_id}/runs/{record.run.run_id}"
    return f"[{record.run.run_id[:7]}]({address}) at {record.commit}"


def _label_loss(record: Record) -> str:
    """Return a loss with its values, linked to its file; repeated trainings show their seed."""
    name, _, values = record.shown.partition("(")
    label = f"[`{name}`](../models/losses/{name}.py)"
    if record.use == "repeat":
        return f"*{label}, seed {record.plan['seed']}*"
    return f"**{label}**" if record.use == "own" else f"{label} {values.removesuffix(')')}".strip()


def _list_figures(record: Record) -> list[str]:
    return [with_interval(record.require_scores().figures, name) for name in (R50, R70, MEAN_IOU)]


def _list_cost(record: Record) -> list[str]:
    cost = record.training
    assert cost is not None
    epochs = f"{cost.best_epoch + 1} of {cost.epochs}" if cost.epochs else "none"
    return [f"{record.parameters:,}", _list_seconds(record), epochs]


def _list_seconds(record: Record) -> str:
    cost = record.training
    assert cost is not None
    return f"{cost.wall_s:.0f} ({cost.cpu_s:.0f}{NO_BREAK}CPU)" + (" †" if cost.resumed else "")


def _list_latency(record: Record, what: str) -> str:
    return f"{NO_BREAK}/{NO_BREAK}".join(f"{one.median_ms:.1f}" for one in record.latency if one.what == what)


def _describe_rank(rank: float | None) -> str:
    return "none" if rank is None else f"{rank:.0f}"


def _describe_use(record: Record) -> str:
    return f"added, weight {record.plan['losses'][-1]['weight']:g}" if record.use == "added" else "alone"


def _describe_difference(one: Comparison, *, marked: bool) -> str:
    interval = "" if one.low is None or one.high is None else f" [{100 * one.low:+.1f},{NO_BREAK}{100 * one.high:+.1f}]"
    return f"{100 * one.difference:+.1f}{interval}" + (f"{NO_BREAK}{UP if one.difference > 0 else DOWN}" if marked else "")


def _list_floors(record: Record) -> list[list[str]]:
    """Return the rows of the floors: the text-only model, and the floors without a model."""
    rows: list[list[str]] = []
    cost = [*_list_cost(record), _list_latency(record, PAIR), link_run(record)]
    rows.append([f"*text only: {record.link}*{SINGLE}", *_list_figures(record), "", *cost])
    for floor, label in FLOORS.items():
        figures: Mapping[str, float | None] = record.require_scores().others[floor]
        rows.append([f"*{label}*", *(percent(figures[figure]) for figure in (R50, R70, MEAN_IOU)), *[""] * 6])
    return rows

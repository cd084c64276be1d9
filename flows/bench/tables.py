"""The tables of the page: one row an arm, the best first."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flows.bench.arms import Arm, describe_loss, name_of
from flows.bench.comparing import compare_records, find_significant
from flows.bench.markdown import format_table, percent, with_interval
from flows.bench.records import ANSWER, EMBED, PAIR, Record, Scores
from models.metrics.intervals import Comparison
from models.metrics.tan2d import MEAN_IOU, name_recall

R50, R70 = name_recall(1, 0.5), name_recall(1, 0.7)
FLOORS = {"prior": "most frequent moments of training", "whole_video": "the whole video", "chance": "chance"}
UP, DOWN = "▲", "▼"
_UI = "http://127.0.0.1:5000"  # where `make ui` shows runs


class Line(NamedTuple):
    """An arm that ended, with its record."""

    arm: Arm
    record: Record

    @property
    def scores(self) -> Scores:
        """The figures of an arm that has some."""
        assert self.record.scores is not None
        return self.record.scores

    @property
    def component(self) -> str:
        """The component's name."""
        return str(self.record.plan["component"]["name"])


def tabulate_localizers(lines: Sequence[Line], baseline: Line | None) -> str:
    """Return the table of localizers, with differences from one of them, above the floors."""
    of_group = [line for line in lines if line.arm.group == "localizer"]
    differences = list_differences(of_group, baseline)
    rows = [
        [f"[`{line.component}`](../models/localizers/{line.component}.py)", *_list_figures(line.scores.figures)]
        + [differences[line.arm.name], *_list_cost(line.record), _list_latency(line.record, PAIR), link_run(line.record)]
        for line in sort_lines(of_group)
    ]
    titles = ["localizer", *_FIGURES, f"against `{baseline.component}`" if baseline else "difference"]
    return format_table([*titles, *_COST, "ms a video and sentence", "run"], [*rows, *_list_floors(lines)])


def tabulate_retrievers(lines: Sequence[Line]) -> str:
    """Return the table of retrievers: the search of the whole split, then the spans in the right video."""
    rows = []
    ordered = sort_lines([line for line in lines if line.arm.group == "retriever"], "R10")
    for line in ordered:
        found = line.scores.others["collection"]
        times = [_list_latency(line.record, what) for what in (EMBED, ANSWER)]
        rows.append(
            [f"[`{line.component}`](../models/retrievers/{line.component}.py)"]
            + [with_interval(found, "R1"), with_interval(found, "R10"), f"{found['median_rank'] or 0:.0f}"]
            + [percent(line.scores.figures[R50]), with_interval(line.scores.figures, MEAN_IOU)]
            + [*_list_cost(line.record), *times, link_run(line.record)]
        )
    chance = ordered[0].scores.others["collection"]
    rows.append(["*chance*", percent(chance["chance_R1"]), percent(chance["chance_R10"]), *[""] * 9])
    titles = ["retriever", "R@1", "R@10", "median rank", "R@1 in the video", "mean IoU in the video", *_COST]
    return format_table([*titles, "ms to embed a video", "ms a sentence in a video", "run"], rows)


def tabulate_losses(lines: Sequence[Line], baseline: Line | None) -> str:
    """Return the table of losses, with differences from the preset's own."""
    of_group = [line for line in lines if line.arm.group == "loss"]
    differences = list_differences(of_group, baseline)
    rows = [
        [label_loss(line), _describe_use(line), *_list_figures(line.scores.figures), differences[line.arm.name]]
        + [_list_seconds(line.record), link_run(line.record)]
        for line in sort_lines(of_group)
    ]
    return format_table(["loss", "use", *_FIGURES, "against the preset's own", "training, s", "run"], rows)


def list_differences(lines: Sequence[Line], baseline: Line | None) -> dict[str, str]:
    """Return each arm's mean IoU less the baseline's, in points, with its interval and a mark where it is significant."""
    compared = compare_records(baseline.record, [line.record for line in lines]) if baseline else {}
    significant = find_significant(compared)
    shown = {name: _describe_difference(one, marked=name in significant) for name, one in compared.items()}
    return {line.arm.name: "" for line in lines} | shown


def sort_lines(lines: Sequence[Line], figure: str = MEAN_IOU) -> list[Line]:
    """Return the best arms first, by a figure of the video or of the collection."""

    def read(line: Line) -> float:
        figures = {**line.scores.figures, **line.scores.others.get("collection", {})}
        return figures[figure] or 0.0

    return sorted(lines, key=lambda line: (-read(line), line.arm.name))


def label_loss(line: Line) -> str:
    """Return a loss with its values, linked to its file; a further seed of the preset's own says which."""
    shown = line.arm.shown
    assert shown is not None
    name = name_of(shown)
    label = f"[`{name}`](../models/losses/{name}.py)"
    if line.arm.use in ("own", "repeat"):
        return label if line.arm.use == "own" else f"*{label}, seed {line.arm.plan.seed}*"
    return f"{label} {describe_loss(shown).removeprefix(name).strip('()')}".strip()


def link_run(record: Record) -> str:
    """Return the link of an arm's MLflow run, with the commit it was run at."""
    if record.run is None:
        return f"not tracked, {record.commit}"
    address = f"{_UI}/#/experiments/{record.run.experiment_id}/runs/{record.run.run_id}"
    return f"[{record.run.run_id[:7]}]({address}) at {record.commit}"


_FIGURES = ("R@1, IoU > 0.5", "R@1, IoU > 0.7", "mean IoU")
_COST = ("parameters", "training, s", "epochs")


def _list_figures(figures: Mapping[str, float | None]) -> list[str]:
    return [with_interval(figures, name) for name in (R50, R70, MEAN_IOU)]


def _list_cost(record: Record) -> list[str]:
    cost = record.training
    assert cost is not None
    return [f"{record.parameters:,}", _list_seconds(record), f"{cost.best_epoch + 1} of {cost.epochs}"]


def _list_seconds(record: Record) -> str:
    cost = record.training
    assert cost is not None
    return f"{cost.wall_s:.0f} ({cost.cpu_s:.0f} CPU)" + (" †" if cost.resumed else "")


def _list_latency(record: Record, what: str) -> str:
    return " / ".join(f"{one.median_ms:.1f}" for one in record.latency if one.what == what)


def _describe_use(line: Line) -> str:
    assert line.arm.shown is not None
    return f"added, weight {line.arm.shown.weight:g}" if line.arm.use == "added" else "alone"


def _describe_difference(one: Comparison, *, marked: bool) -> str:
    interval = "" if one.low is None or one.high is None else f" [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    return f"{100 * one.difference:+.1f}{interval}" + (f" {UP if one.difference > 0 else DOWN}" if marked else "")


def _list_floors(lines: Sequence[Line]) -> list[list[str]]:
    """Return the rows of what answers without understanding: the text-only model, and what needs no model."""
    rows = []
    for line in (line for line in lines if line.arm.group == "floor"):
        name = f"*text only: [`{line.component}`](../models/blinds/{line.component}.py)*"
        cost = [*_list_cost(line.record), _list_latency(line.record, PAIR), link_run(line.record)]
        rows.append([name, *_list_figures(line.scores.figures), "", *cost])
        for floor, label in FLOORS.items():
            figures = line.scores.others[floor]
            rows.append([f"*{label}*", *(percent(figures[figure]) for figure in (R50, R70, MEAN_IOU)), *[""] * 6])
    return rows

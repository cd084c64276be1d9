"""The closing table of `cuepoint repro`: an example answer, figures, times, sizes, reports and next commands."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import read_json, read_jsonl
from pipeline import paths
from pipeline.params import load_params
from pipeline.timings import Timing, load_timings

HIT_IOU = 0.5
LOCALIZER_FIGURES = {
    "R1_iou0.3": "R@1, IoU > 0.3",
    "R1_iou0.5": "R@1, IoU > 0.5",
    "R1_iou0.7": "R@1, IoU > 0.7",
    "mIoU": "mean IoU",
}
MISSING = "missing; run: make repro"

Row = tuple[str, str]


class Section(NamedTuple):
    """A heading with labelled values."""

    title: str
    rows: list[Row]


class Inputs(NamedTuple):
    """Paths and values that the table is built from."""

    data_dir: Path
    timings_dir: Path
    split: str


def build_sections(inputs: Inputs) -> list[Section]:
    """Return all sections; a missing piece is shown as missing and is never an error."""
    evaluation = inputs.data_dir / "reports" / "evaluation"
    example = choose_example(evaluation / "per_query.jsonl")
    return [
        Section("Example", describe_example(example)),
        Section(f"Figures ({inputs.split} split)", describe_quality(evaluation / "metrics.json", inputs.split)),
        Section("Time", describe_timings(load_timings(inputs.timings_dir))),
        Section("Sizes", describe_sizes(inputs.data_dir)),
        Section("Reports", describe_reports(evaluation)),
        Section("Next", list_commands(example)),
    ]


def choose_example(path: Path) -> Mapping[str, Any] | None:
    """Return the first well-answered query, else the first query."""
    if not path.is_file():
        return None
    rows = [row for _, row in read_jsonl(path) if row["found"]]
    return next((row for row in rows if row["iou"] > HIT_IOU), rows[0] if rows else None)


def describe_example(example: Mapping[str, Any] | None) -> list[Row]:
    """Return sentence, found moment and truth."""
    if example is None:
        return [("an answer", MISSING)]
    start_s, end_s, score = example["found"][0]
    truth = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in example["truth"])
    return [
        ("asked", f'"{example["text"]}"'),
        ("found", f"{example['video_id']}, {start_s:.1f} to {end_s:.1f} s (score {score:.2f})"),
        ("true", f"{truth} (IoU {example['iou']:.2f})"),
    ]


def describe_quality(path: Path, split: str) -> list[Row]:
    """Return the figures of the localizer beside its best floor, and of the collection search beside chance."""
    group = (read_json(path) if path.is_file() else {}).get(split)
    if not group or not group.get("queries"):
        return [("figures", MISSING if group is None else f"the split {split!r} has no queries")]
    floor_name = group["best_floor"]
    floor = group["floors"][floor_name]
    rows = []
    for figure, label in LOCALIZER_FIGURES.items():
        if figure in group["localizer"]:
            beside = f"   best floor ({floor_name}) {_percent(floor[figure])}" if figure in floor else ""
            rows.append((label, _interval(group["localizer"], figure) + beside))
    collection = group.get("collection")
    if collection:
        rows.append((f"collection R@10 of {collection['videos']} videos", _beside_chance(collection, "R10")))
    return [*rows, ("measured on", f"{group['queries']} sentences about {group['videos']} videos")]


def describe_timings(timings: Mapping[str, Timing]) -> list[Row]:
    """Return wall time, CPU time and memory of each stage, most expensive first, and their sum."""
    if not timings:
        return [("stages", "none ran in this checkout; all results came from DVC's cache")]
    ordered = sorted(timings.items(), key=lambda item: -item[1].wall_s)
    rows = [(stage, _cost(timing.wall_s, timing.cpu_s) + f", {_size(timing.peak_bytes)} at most") for stage, timing in ordered]
    total = _cost(sum(timing.wall_s for timing in timings.values()), sum(timing.cpu_s for timing in timings.values()))
    return [*rows, ("all stages", f"{total}; a stage that was up to date shows its last run")]


def describe_sizes(data_dir: Path) -> list[Row]:
    """Return the sizes of the served artefacts."""
    return [(name, _size_of(data_dir / name)) for name in ("bundle", "index", "bento")]


def describe_reports(evaluation: Path) -> list[Row]:
    """Return the pages and pictures to open."""
    pages = {"report": "index.html", "answers as pictures": "answers.png"}
    return [(label, str(evaluation / name) if (evaluation / name).is_file() else MISSING) for label, name in pages.items()]


def list_commands(example: Mapping[str, Any] | None) -> list[Row]:
    """Return the next commands."""
    sentence = example["text"] if example else "the red circle moves right"
    return [
        ("search", f"make search QUERY={_quote(sentence)}"),
        ("serve the search", "make serve"),
        ("compare runs", "make ui"),
    ]


def print_sections(sections: list[Section]) -> None:
    """Print a table on a terminal, else plain lines without wrapping."""
    if sys.stdout.isatty():
        _print_table(sections)
        return
    width = max(len(label) for section in sections for label, _ in section.rows)
    for section in sections:
        print(section.title)
        for label, value in section.rows:
            print(f"  {label:<{width}}  {value}")


def _print_table(sections: list[Section]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.ROUNDED, show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for section in sections:
        table.add_row(Text(section.title, style="bold"), "")
        for label, value in section.rows:
            table.add_row(Text(f"  {label}"), Text(value))
        table.add_section()
    Console().print(table)


def _quote(sentence: str) -> str:
    """Quote for the shell, with double quotes if the words allow it."""
    return f'"{sentence}"' if not set(sentence) & set('"\\`$!') else shlex.quote(sentence)


def _interval(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    interval = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return _percent(figures[name]) + interval


def _beside_chance(collection: Mapping[str, Any], name: str) -> str:
    chance = collection.get(f"chance_{name}")
    times = f", {collection[name] / chance:.1f} times chance ({100 * chance:.2f} %)" if chance else ""
    return _interval(collection, name) + times


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _cost(wall_s: float, cpu_s: float) -> str:
    return f"{wall_s:.1f} s (CPU {cpu_s:.1f} s)"


def _size_of(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return _size(sum(path.stat().st_size for path in files)) if files else MISSING


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"


def main() -> None:
    """Print the table of the working tree."""
    inputs = Inputs(data_dir=paths.DATA, timings_dir=paths.TIMINGS, split=load_params().evaluate.split)
    print_sections(build_sections(inputs))

"""Builds docs/results.md from the records of default_run.py: cost by stage, figures over seeds, slices, growth."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

Record = Mapping[str, Any]

HEADLINE = "R1_iou0.5"
SPLITS = {
    "val": "validation",
    "test": "test",
    "test_unseen": "unseen combinations",
    "test_background": "swapped backgrounds",
    "test_shifted": "new colours and words",
}
SLICES = {
    "form": "By form of the sentence",
    "verb": "By kind of event",
    "distractors": "By number of distractors",
}
MIN_QUERIES = 10  # of a slice of all seeds together
MEBIBYTE, GIBIBYTE = 1 << 20, 1 << 30


def build_page(records: Iterable[Record]) -> str:
    """Return the page; the last record of a seed and size counts."""
    latest = {(record["seed"], record["share"]): record for record in records}
    default = [record for (_, share), record in sorted(latest.items()) if share == 1]
    shares = sorted(share for seed, share in latest if seed == default[0]["seed"])
    sections = [
        describe_runs(default),
        list_stages(default[0]),
        list_seeds(default),
        list_splits(default),
        *(list_slices(default, group, title) for group, title in SLICES.items()),
        list_growth([latest[default[0]["seed"], share] for share in shares]),
    ]
    return "\n\n".join(sections) + "\n"


def describe_runs(records: Sequence[Record]) -> str:
    """Return title, machine and how to make this page."""
    commits = ", ".join(sorted({record["commit"] for record in records}))
    return f"""# What the default run reaches, and what it costs

Whole runs from an empty clone, at {commits} on {records[0]["machine"]}, made by `python tests/benchmarks/default_run.py`
(`--help` says how). A seed changes everything at once: the drawn corpus, the encoder, the retriever, the localizer and its
floors. Brackets are 95 % intervals by resampling videos."""


def list_stages(record: Record) -> str:
    """Return cost by stage of one run."""
    rows = [
        [f"`{name}`", f"{cost['wall_s']:.0f}", f"{cost['cpu_s']:.0f}", f"{cost['peak_bytes'] / MEBIBYTE:.0f}"]
        for name, cost in sorted(record["stages"].items(), key=lambda item: -item[1]["wall_s"])
    ]
    cpu_s = sum(cost["cpu_s"] for cost in record["stages"].values())
    total = ["**`dvc repro`**", f"**{record['wall_s']:.0f}**", f"**{cpu_s:.0f}**", f"**{record['peak_bytes'] / MEBIBYTE:.0f}**"]
    videos = sum(split["videos"] for split in record["splits"].values())
    table = format_table(["stage", "wall, s", "CPU, s", "memory, MiB"], [*rows, total])
    return f"""## Stage by stage

Seed {record["seed"]}, {videos} videos, {record["wall_s"] / 60:.1f} minutes. Memory of a stage is that of its largest process;
in the last line it is that of all processes together, sampled every second, with shared pages counted once.

{table}"""


def list_seeds(records: Sequence[Record]) -> str:
    """Return the figures of the test split, one line a seed, and their mean."""
    rows, figures = [], []
    for record in records:
        test = record["figures"]["test"]
        floor, ours, found = test["floors"][test["best_floor"]], test["localizer"], test["collection"]
        numbers = [ours[HEADLINE], floor[HEADLINE], test["margin_over_best_floor"], ours["mIoU"], found["R10"]]
        figures.append([*numbers, found["R10"] / found["chance_R10"]])
        rows.append(
            [str(record["seed"])]
            + [f"{percent(ours[HEADLINE])} {interval(ours, HEADLINE)}", f"{percent(floor[HEADLINE])} ({test['best_floor']})"]
            + [f"{100 * numbers[2]:+.1f} {interval(test, 'margin_over_best_floor')}", percent(ours["mIoU"])]
            + [f"{percent(found['R10'])} {interval(found, 'R10')}", f"{figures[-1][-1]:.1f}"]
        )
    means = [mean(column) for column in zip(*figures, strict=True)]
    rows.append(["**mean**", *(f"**{percent(value)}**" for value in means[:-1]), f"**{means[-1]:.1f}**"])
    titles = ["seed", "R@1, IoU > 0.5", "best floor", "above it, points", "mean IoU", "collection R@10", "times chance"]
    return f"## Over {len(records)} seeds\n\nTest split, in percent.\n\n{format_table(titles, rows)}"


def list_splits(records: Sequence[Record]) -> str:
    """Return R@1 of every split and seed beside the best floor of the split."""
    rows = []
    for split, label in SPLITS.items():
        groups = [record["figures"][split] for record in records]
        ours = [f"{percent(group['localizer'][HEADLINE])} {interval(group['localizer'], HEADLINE)}" for group in groups]
        floor = mean(group["floors"][group["best_floor"]][HEADLINE] for group in groups)
        average = mean(group["localizer"][HEADLINE] for group in groups)
        rows.append([label, f"{groups[0]['queries']} / {groups[0]['videos']}", *ours, f"**{percent(average)}**", percent(floor)])
    seeds = [f"seed {record['seed']}" for record in records]
    titles = ["split", "sentences / videos", *seeds, "mean", "best floor, mean"]
    return f"## By split\n\nR@1 at IoU > 0.5, in percent.\n\n{format_table(titles, rows)}"


def list_slices(records: Sequence[Record], group: str, title: str) -> str:
    """Return R@1 of one property on the test split, all seeds together."""
    parts: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for record in records:
        for row in record["slices"]:
            if row["slice"] == group:
                parts[row["value"]].append(row)
    rows = []
    for value, lines in parts.items():
        queries = [int(line["queries"]) for line in lines]
        if sum(queries) >= MIN_QUERIES:
            figures = [weigh(lines, queries, name) for name in (HEADLINE, "best_floor", "mIoU")]
            rows.append([value, str(sum(queries)), *map(percent, figures)])
    rows.sort(key=lambda row: int(row[0]) if row[0].isdecimal() else -float(row[2]))
    titles = ["", "sentences", "R@1, IoU > 0.5", "best floor", "mean IoU"]
    return f"### {title}\n\nTest split, all seeds together, in percent.\n\n{format_table(titles, rows)}"


def weigh(lines: Sequence[Mapping[str, str]], queries: Sequence[int], name: str) -> float:
    """Return the mean of a figure over all sentences of several runs."""
    return sum(float(line[name]) * number for line, number in zip(lines, queries, strict=True)) / sum(queries)


def list_growth(records: Sequence[Record]) -> str:
    """Return time and memory of runs of growing size, the first one being 1x."""
    sizes = [sum(split["videos"] for split in record["splits"].values()) for record in records]
    labels = [f"{size / sizes[0]:.0f}x: {size} videos" for size in sizes]
    rows = []
    for stage in records[0]["stages"]:
        costs = [record["stages"][stage] for record in records]
        cells = [f"{cost['wall_s']:.0f} / {cost['cpu_s']:.0f} / {cost['peak_bytes'] / MEBIBYTE:.0f}" for cost in costs]
        growth = [f"{costs[-1][key] / costs[0][key]:.1f}" for key in ("cpu_s", "peak_bytes")]
        rows.append([f"`{stage}`", *cells, *growth])
    cpu = [sum(cost["cpu_s"] for cost in record["stages"].values()) for record in records]
    peaks = [record["peak_bytes"] for record in records]
    cells = [
        f"**{record['wall_s']:.0f} / {cpu_s:.0f} / {peak / MEBIBYTE:.0f}**"
        for record, cpu_s, peak in zip(records, cpu, peaks, strict=True)
    ]
    rows.append(["**`dvc repro`**", *cells, f"**{cpu[-1] / cpu[0]:.1f}**", f"**{peaks[-1] / peaks[0]:.1f}**"])
    disk = [sum(record["bytes"].values()) / GIBIBYTE for record in records]
    table = format_table(["wall, s / CPU, s / memory, MiB", *labels, "CPU grows", "memory grows"], rows)
    sizes_text = ", ".join(f"{value:.2f}" for value in disk)
    return f"""## How time and memory grow

The same settings with the videos of every split multiplied, seed {records[0]["seed"]}. `data/` holds {sizes_text} GiB.
The runs shared the machine with other jobs to different degrees: compare CPU time, not wall time.

{table}"""


def format_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(value: float) -> str:
    """Return a share in percent, one decimal."""
    return f"{100 * value:.1f}"


def interval(figures: Mapping[str, Any], name: str) -> str:
    """Return the interval of a figure in percent; figures of one video have none."""
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    return "" if low is None or high is None else f"[{percent(low)}, {percent(high)}]"

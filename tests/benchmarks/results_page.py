"""The page docs/results.md, built from the records of default_run.py: cost by stage, figures over seeds, slices, growth."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

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
SEED = 2026  # of the drawn videos
MIN_QUERIES = 10  # of a slice of all runs together
MEBIBYTE, GIBIBYTE = 1 << 20, 1 << 30


class Spread(NamedTuple):
    """A figure over several runs: mean, standard deviation between runs, and the 95 % interval over videos of the mean."""

    mean: float
    deviation: float
    low: float | None
    high: float | None


BEFORE = ("1c6facb", "c94f309")  # commits of the previous default: 4 videos x 20 clips a batch, rate 0.005, in a separate loop


class Runs(NamedTuple):
    """Runs of one commit on the same videos, and runs of other sizes."""

    default: list[Record]  # of the default size, by seed and instructions
    before: list[Record]  # of the previous default
    sizes: list[Record]  # one run of all stages for each share of the videos, smallest first


def build_page(records: Iterable[Record], luck: str) -> str:
    """Return the page. `luck` is the section of luck_page.py."""
    runs = select_runs(records)
    whole = next(record for record in runs.sizes if record["share"] == 1)
    sections = [
        describe_runs(runs),
        list_stages(whole),
        list_seeds(runs.default, "The default over seeds"),
        list_seeds(runs.before, f"The previous default over seeds, at {' and '.join(BEFORE)}"),
        luck,
        list_splits(runs),
        *(list_slices(runs.default, group, title) for group, title in SLICES.items()),
        list_growth(runs.sizes),
    ]
    return "\n\n".join(sections) + "\n"


def select_runs(records: Iterable[Record]) -> Runs:
    """Group the records by their purpose; of runs that differ only in the commit, the last one counts."""
    latest = {(record["commit"] in BEFORE, record["seed"], record["isa"], record["share"]): record for record in records}
    ordered = [latest[key] for key in sorted(latest)]
    full = [record for record in ordered if record["share"] == 1]
    sizes = {record["share"]: record for record in reversed(ordered) if "package" in record["stages"]}
    return Runs(
        default=[record for record in full if record["commit"] not in BEFORE],
        before=[record for record in full if record["commit"] in BEFORE],
        sizes=[sizes[share] for share in sorted(sizes)],
    )


def spread(groups: Sequence[Mapping[str, Any]], name: str) -> Spread:
    """Return the spread of a figure over runs that are scored on the same videos.

    The draw of videos moves all runs alike, so the distances from a figure to its bounds are averaged: the interval of
    the mean is as wide as the interval of one run. A figure without bounds gives a mean without bounds.
    """
    values = [group[name] for group in groups]
    bounds = [(group.get(f"{name}_low"), group.get(f"{name}_high")) for group in groups]
    average, deviation = mean(values), stdev(values) if len(values) > 1 else 0.0
    if any(low is None or high is None for low, high in bounds):
        return Spread(average, deviation, None, None)
    return Spread(average, deviation, mean(low for low, _ in bounds), mean(high for _, high in bounds))


def describe_spread(found: Spread) -> str:
    """Return mean, deviation and interval in percent."""
    return f"{percent(found.mean)} ± {percent(found.deviation)} {describe_bounds(found)}".rstrip()


def describe_bounds(found: Spread) -> str:
    """Return the interval of the mean over videos in percent, an empty text without bounds."""
    return "" if found.low is None or found.high is None else f"[{percent(found.low)}, {percent(found.high)}]"


def find_floor(group: Mapping[str, Any]) -> float:
    """Return R@1 of the best floor of a split."""
    return float(group["floors"][group["best_floor"]][HEADLINE])


def describe_runs(runs: Runs) -> str:
    """Return title, commits, machines and how to make this page."""
    places = dict.fromkeys((record["commit"], record["machine"]) for record in runs.default)
    listed = "\n".join(f"- {commit}, {machine}" for commit, machine in places)
    return f"""# Results of the default run

```bash
cuepoint summary                                    # the figures of your own run
python tests/benchmarks/default_run.py --help       # repeats the runs of this page
```

This page measures runs from an empty clone:

{listed}

All runs have the videos of seed {SEED}. A seed changes the encoder, the retriever, the localizer and its floors.
"Instructions" are the widest that torch uses on the processor; they change the order in which it rounds sums. Brackets are
95 % intervals by resampling videos."""


def list_stages(record: Record) -> str:
    """Return the cost by stage of one run."""
    rows = [
        [f"`{name}`", f"{cost['wall_s']:.0f}", f"{cost['cpu_s']:.0f}", f"{cost['peak_bytes'] / MEBIBYTE:.0f}"]
        for name, cost in sorted(record["stages"].items(), key=lambda item: -item[1]["wall_s"])
    ]
    cpu_s = sum(cost["cpu_s"] for cost in record["stages"].values())
    total = ["**`dvc repro`**", f"**{record['wall_s']:.0f}**", f"**{cpu_s:.0f}**", f"**{record['peak_bytes'] / MEBIBYTE:.0f}**"]
    size, minutes = sum(split["videos"] for split in record["splits"].values()), record["wall_s"] / 60
    table = format_table(["stage", "wall, s", "CPU, s", "memory, MiB"], [*rows, total])
    return f"""## Stage by stage

At {record["commit"]}, {record["machine"]}, seed {record["seed"]}, {size} videos, {minutes:.1f} minutes. The memory of a
stage is that of its largest process. The last line has the memory of all processes together, sampled every second, with shared
pages counted once.

{table}"""


def list_seeds(records: Sequence[Record], title: str) -> str:
    """Return the figures of the test split, one row a run, and their means."""
    rows = []
    for record in records:
        test = record["figures"]["test"]
        floor, ours, found = test["floors"][test["best_floor"]], test["localizer"], test["collection"]
        rows.append(
            [str(record["seed"]), record["isa"]]
            + [f"{percent(ours[HEADLINE])} {interval(ours, HEADLINE)}", f"{percent(floor[HEADLINE])} ({test['best_floor']})"]
            + [f"{100 * test['margin_over_best_floor']:+.1f} {interval(test, 'margin_over_best_floor')}", percent(ours["mIoU"])]
            + [f"{percent(found['R10'])} {interval(found, 'R10')}", f"{found['R10'] / found['chance_R10']:.1f}"]
        )
    rows.append(["**mean ± deviation**", "", *summarise_seeds(records)])
    titles = ["seed", "instructions", "R@1, IoU > 0.5", "best floor", "above it, points", "mean IoU"]
    return f"""## {title}

Test split, in percent. The last line has the mean, the standard deviation between runs, and the interval of the mean over
videos. All runs share the same videos, so this interval is as wide as that of one run.

{format_table([*titles, "collection R@10", "times chance"], rows)}"""


def summarise_seeds(records: Sequence[Record]) -> list[str]:
    """Return the cells of the test split over all runs."""
    tests = [record["figures"]["test"] for record in records]
    ours, found = [test["localizer"] for test in tests], [test["collection"] for test in tests]
    floors = [{HEADLINE: find_floor(test)} for test in tests]
    times = [one["R10"] / one["chance_R10"] for one in found]
    cells = [spread(ours, HEADLINE), spread(floors, HEADLINE), spread(tests, "margin_over_best_floor"), spread(ours, "mIoU")]
    shown = [describe_spread(cell) for cell in (*cells, spread(found, "R10"))]
    return [f"**{cell}**" for cell in (*shown, f"{mean(times):.1f} ± {stdev(times):.1f}")]


def list_splits(runs: Runs) -> str:
    """Return R@1 of every split, now and before, and the best floor of the split."""
    rows = []
    for split, label in SPLITS.items():
        groups = [record["figures"][split] for record in runs.default]
        before = [record["figures"][split]["localizer"] for record in runs.before]
        found = [spread([group["localizer"] for group in groups], HEADLINE), spread(before, HEADLINE)]
        sizes = f"{groups[0]['queries']} / {groups[0]['videos']}"
        rows.append([label, sizes, *map(describe_spread, found), percent(mean(map(find_floor, groups)))])
    titles = ["split", "sentences / videos", "default", "previous default", "best floor, mean"]
    return f"## By split\n\nR@1 at IoU > 0.5, in percent: mean ± deviation between runs.\n\n{format_table(titles, rows)}"


def list_slices(records: Sequence[Record], group: str, title: str) -> str:
    """Return R@1 by the values of one property on the test split, over all runs."""
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
    return f"### {title}\n\nTest split, all runs together, in percent.\n\n{format_table(titles, rows)}"


def weigh(lines: Sequence[Mapping[str, str]], queries: Sequence[int], name: str) -> float:
    """Return the mean of a figure over all sentences of several runs."""
    return sum(float(line[name]) * number for line, number in zip(lines, queries, strict=True)) / sum(queries)


def list_growth(records: Sequence[Record]) -> str:
    """Return time and memory of runs of growing size; the first run is 1x."""
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
    commits = ", ".join(dict.fromkeys(record["commit"] for record in records))
    return f"""## How time and memory grow

Whole runs with the videos of every split multiplied, seed {records[0]["seed"]}, at {commits}. `data/` holds {sizes_text} GiB.
The runs shared the machine with other jobs to different degrees. Compare CPU time, not wall time.

{table}"""


def format_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(value: float) -> str:
    """Return a share in percent with one decimal."""
    return f"{100 * value:.1f}"


def interval(figures: Mapping[str, Any], name: str) -> str:
    """Return the interval of a figure in percent; figures of one video have none."""
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    return "" if low is None or high is None else f"[{percent(low)}, {percent(high)}]"


def list_measured(records: Sequence[Record]) -> str:
    """Return the table of README's section "Measured": means over runs with both spreads."""
    rows = []
    for split, label in SPLITS.items():
        groups = [record["figures"][split] for record in records]
        ours, floors = [group["localizer"] for group in groups], [find_floor(group) for group in groups]
        found = spread(ours, HEADLINE)
        if split != "val":
            rows.append(
                [label, f"{groups[0]['queries']} in {groups[0]['videos']} videos", f"**{percent(found.mean)} %**"]
                + [f"± {percent(found.deviation)}", describe_bounds(found)]
                + [f"{percent(mean(floors))} %", f"{percent(mean(one['mIoU'] for one in ours))} %"]
            )
    titles = ["split", "sentences", "R@1, IoU > 0.5", "between runs", "over videos", "best floor", "mean IoU"]
    return format_table(titles, rows)


def describe_collection(records: Sequence[Record]) -> str:
    """Return README's sentence about the search of a whole split."""
    tests = [record["figures"]["test"]["collection"] for record in records]
    ten, first = spread(tests, "R10"), spread(tests, "R1")
    chance = [percent(mean(test[name] for test in tests)) for name in ("chance_R10", "chance_R1")]
    return (
        f"A search of all {tests[0]['videos']} test videos has a correct moment (IoU > 0.5) among its first ten answers for "
        f"{percent(ten.mean)} % of the sentences (± {percent(ten.deviation)} between runs, {describe_bounds(ten)} over videos). "
        f"The first answer is correct for {percent(first.mean)} % (± {percent(first.deviation)}). "
        f"Chance is {chance[0]} and {chance[1]} %."
    )

"""The section of docs/results.md about rounding, built from the records of luck.py alone."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
from results_page import HEADLINE, format_table, percent

from corpus.moments import Floats, Ints
from models.metrics.intervals import Comparison, Estimate, compare_means, estimate_means

Record = Mapping[str, Any]

FALL = 0.6  # of `clip_to_sentences`: below it, pretraining has left its plateau
SAMPLES, SEED = 10_000, 2026


class Answered(NamedTuple):
    """A training of the localizer, with the weights of the best epoch on validation, or of the last epoch."""

    name: str
    last: bool = False


class Step(NamedTuple):
    """The change of one experiment, and the two trainings that differ in nothing else."""

    label: str
    changed: str
    left: Answered
    right: Answered


ELSEWHERE = """These experiments measure the previous default, with 4 videos and 20 clips of each in a batch of pretraining.
Its results differed between processors. With byte-equal videos, its run of seed 2026 gave 59.7 % [54.7, 64.1] with AVX-512 and
two threads, and 71.5 % [67.5, 75.7] on a processor without AVX-512. Compare means over seeds, on one machine.

The present default takes 16 videos and 5 clips of each, the same number of clips a step, at a learning rate of 0.002 in place of
0.005. Its loss leaves the plateau (`clip_to_sentences` falls below 0.6) by epoch 7 of 64 in every run. The tables above show the
effect on R@1."""
BASE = Answered("native")
LAST = "last weights instead"
STEPS = (
    Step("pretraining", "instructions", BASE, Answered("encoder-avx2")),
    Step("pretraining", "last bit of the first weights", BASE, Answered("encoder-nudged")),
    Step("pretraining", "two threads", BASE, Answered("encoder-two-threads")),
    Step("pretraining, its last weights", "instructions", Answered("encoder-last"), Answered("encoder-avx2-last")),
    Step(
        "pretraining, its last weights",
        "last bit of the first weights",
        Answered("encoder-last"),
        Answered("encoder-nudged-last"),
    ),
    Step("average of pretraining, native", LAST, BASE, Answered("encoder-last")),
    Step("average of pretraining, AVX2", LAST, Answered("encoder-avx2"), Answered("encoder-avx2-last")),
    Step("average of pretraining, nudged", LAST, Answered("encoder-nudged"), Answered("encoder-nudged-last")),
    Step("localizer", "instructions", BASE, Answered("localizer-avx2")),
    Step("localizer", "last bit of the first weights", BASE, Answered("localizer-nudged")),
    Step("localizer", "seed 2027", BASE, Answered("localizer-seed-2027")),
    Step("localizer", "seed 2028", BASE, Answered("localizer-seed-2028")),
)


class Luck:
    """The records by kind and name."""

    def __init__(self, records: Iterable[Record]) -> None:
        """Take the last record of each kind and name."""
        self._records = {(record["kind"], record["name"]): record for record in records}

    def of_kind(self, kind: str) -> list[Record]:
        """Return the records of a kind in their order of creation."""
        return [record for (found, _), record in self._records.items() if found == kind]

    def has(self, answered: Answered) -> bool:
        """Tell whether a training of the localizer is on record."""
        return ("localizer", answered.name) in self._records

    def read_hits(self, answered: Answered) -> tuple[Floats, Ints]:
        """Return the hit of each query's first answer, (Q,) of 0 and 1, and its video, (Q,)."""
        record = self._records["localizer", answered.name]
        scores = record["scores"]
        epoch = scores["epochs"][-1 if answered.last else record["best_epoch"]]
        hits = np.array([float(hit) for hit in epoch["hits"]])
        return hits, np.array(scores["videos"], dtype=np.int64)

    def estimate(self, answered: Answered) -> Estimate:
        """Return R@1 with its interval over videos."""
        hits, videos = self.read_hits(answered)
        return estimate_means({HEADLINE: hits}, videos, num_samples=SAMPLES, seed=SEED)[HEADLINE]

    def compare(self, left: Answered, right: Answered) -> Comparison:
        """Compare R@1 on the same sentences: right minus left, with its paired interval."""
        (first, videos), (second, _) = self.read_hits(left), self.read_hits(right)
        return compare_means({HEADLINE: first}, {HEADLINE: second}, videos, num_samples=SAMPLES, seed=SEED)[HEADLINE]

    def describe_equals(self, *trainings: Answered) -> str:
        """Return R@1 of equal trainings, with the standard deviation between them."""
        values = [self.estimate(answered).value for answered in trainings]
        return f"{', '.join(map(percent, values))} (standard deviation {100 * stdev(values):.1f}, n = {len(values)})"


def build_section(records: Iterable[Record]) -> str:
    """Return the section, without experiments that have no record."""
    luck = Luck(records)
    return "\n\n".join([describe_luck(luck), list_pretrainings(luck), list_steps(luck), list_epochs(luck), list_distances(luck)])


def describe_luck(luck: Luck) -> str:
    """Return title, conclusion and method of the experiments."""
    runs = [*luck.of_kind("pretraining"), *luck.of_kind("localizer")]
    commits, machines = (", ".join(sorted({run[name] for run in runs})) for name in ("commit", "machine"))
    return f"""## Which step amplifies rounding

{conclude(luck)}

Made by `python tests/benchmarks/luck.py` at {commits} on {machines}, with seed
{SEED} unless stated, byte-equal videos and one thread. AVX2 hides the wider instructions of the same processor. Sums are then
rounded in another order; nothing else changes. "Last bit" moves each first weight to the next representable number above it.
Extraction and scoring always use the native instructions. Brackets are 95 % intervals by resampling the videos of the test
split; differences are paired. The intervals do not cover further trainings: each row has one training on each side."""


def conclude(luck: Luck) -> str:
    """Return the conclusion, or the remedy if one of its experiments has no record."""
    nudged, sums, seeds = (
        [Answered(name) for name in names]
        for names in (
            ("encoder-nudged", "localizer-nudged"),
            ("encoder-avx2", "localizer-avx2"),
            ("localizer-seed-2027", "localizer-seed-2028"),
        )
    )
    lasts = [step for step in STEPS if step.changed == LAST and luck.has(step.left) and luck.has(step.right)]
    if not all(map(luck.has, (BASE, *nudged, *sums, *seeds))) or not lasts:
        return "Experiments are missing; run: python tests/benchmarks/luck.py run"
    bits, orders, chance = ([describe_difference(luck.compare(BASE, one)) for one in part] for part in (nudged, sums, seeds))
    equals = [luck.describe_equals(BASE, first, second) for first, second in zip(nudged, sums, strict=True)]
    averages = ", ".join(describe_difference(luck.compare(step.left, step.right)) for step in lasts)
    epochs = [luck.compare(Answered(run["name"]), Answered(run["name"], last=True)) for run in luck.of_kind("localizer")]
    moved = [100 * one.difference for one in epochs]
    return f"""**Pretraining amplifies rounding. The average of pretraining, the localizer and the choice of the epoch do not.**

{ELSEWHERE}

In points of R@1 at IoU > 0.5, one change at a time:

- **Pretraining.** The last bit of its first weights moves R@1 by {bits[0]}, other instructions by
  {orders[0]}. Three pretrainings that differ by rounding alone give
  {equals[0]}.
- **The average of pretraining** (EMA) neither causes nor removes the effect. The last weights in place of the average move R@1 by
  {averages}.
- **The localizer**, on equal features. The last bit of its first weights moves R@1 by {bits[1]}, other
  instructions by {orders[1]}. Three trainings that differ by rounding alone give
  {equals[1]}. Two more seeds move it by
  {" and ".join(chance)}. Its weights drift apart too, but its R@1 does not.
- **The choice of the epoch.** The last epoch in place of the selected one moves R@1 by {min(moved):+.1f} to {max(moved):+.1f}.
  The mean over {len(moved)} trainings is {mean(moved):+.1f}."""


def list_pretrainings(luck: Luck) -> str:
    """Return the table of pretrainings: the step at which each left its plateau, and its accuracy."""
    rows = [
        [run["name"], run["capability"], str(run["threads"]), _describe_fall(run)] + [f"{run['figures']['val']['accuracy']:.3f}"]
        for run in luck.of_kind("pretraining")
    ]
    titles = ["pretraining", "instructions", "threads", "fall, steps", "validation accuracy"]
    return f"""### Pretraining

Pretraining stays on a plateau, then leaves it. The fall is the end of the first epoch with a loss from clips to sentences
below {FALL}. Validation accuracy is that of the averaged weights, over the same batches in each row.

{format_table(titles, rows)}"""


def _describe_fall(run: Record) -> str:
    fall = find_fall(run["curve"])
    return f"{'none' if fall is None else fall} of {run['curve'][-1]['step']:.0f}"


def find_fall(curve: Sequence[Mapping[str, float]]) -> int | None:
    """Return the number of steps at the end of the first epoch below `FALL`, or None."""
    return next((int(row["step"]) for row in curve if row["clip_to_sentences"] < FALL), None)


def list_steps(luck: Luck) -> str:
    """Return the table of experiments that change one thing each."""
    rows = []
    for step in STEPS:
        if luck.has(step.left) and luck.has(step.right):
            ends = [describe_estimate(luck.estimate(answered)) for answered in (step.left, step.right)]
            rows.append([step.label, step.changed, *ends, describe_difference(luck.compare(step.left, step.right))])
    titles = ["step", "what changes", "before", "after", "difference, points"]
    return f"""### One change at a time

R@1 at IoU > 0.5 on the test split, in percent. Every row is one training on each side.

{format_table(titles, rows)}"""


def list_epochs(luck: Luck) -> str:
    """Return the table of the choice of the epoch: both columns are of the same training."""
    rows, moved = [], []
    for run in luck.of_kind("localizer"):
        best, last = Answered(run["name"]), Answered(run["name"], last=True)
        compared, epochs = luck.compare(best, last), run["scores"]["epochs"]
        late = [epoch["figures"][HEADLINE] for epoch in epochs[len(epochs) // 2 :]]
        moved.append(compared.difference)
        rows.append(
            [f"`{run['name']}`", f"{run['best_epoch'] + 1} of {len(epochs)}", percent(compared.left), percent(compared.right)]
            + [describe_difference(compared), f"{percent(min(late))} to {percent(max(late))}"]
        )
    titles = ["training", "epoch chosen", "R@1, chosen", "R@1, last", "difference, points", "second half of the epochs"]
    return f"""### The choice of the epoch

Each row is one training of the localizer, scored with the epoch that validation selected and with the last one. Over
{len(moved)} trainings, the last epoch differs from the selected one by {100 * mean(moved):+.1f} points on average.

{format_table(titles, rows)}"""


def list_distances(luck: Luck) -> str:
    """Return the table of distances between trainings that differ only by rounding."""
    rows, num_epochs = [], 0
    for kind, what in (("distance of encoders", "pretraining"), ("distance of localizers", "localizer")):
        for run in luck.of_kind(kind):
            distances = run["distances"]
            num_epochs = len(distances)
            shown = sorted({1, 2, num_epochs // 4, num_epochs // 2, num_epochs})
            for part, label in (("last", "weights"), ("average", "average")):
                cells = ", ".join(f"{row['epoch']}: {row[part]:.2g}" for row in distances if row["epoch"] in shown)
                rows.append([what, run["name"], label, cells])
    return f"""### Distance of the weights

The distance is |a - b| / |a| over all weights of two trainings, after some of their epochs.

{format_table(["step", "trainings", "of", "epoch: distance"], rows)}"""


def describe_estimate(one: Estimate) -> str:
    """Return a figure in percent with its interval."""
    interval = "" if one.low is None or one.high is None else f" [{percent(one.low)}, {percent(one.high)}]"
    return f"{percent(one.value)}{interval}"


def describe_difference(one: Comparison) -> str:
    """Return a difference in points with its interval."""
    interval = "" if one.low is None or one.high is None else f" [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    return f"{100 * one.difference:+.1f}{interval}"

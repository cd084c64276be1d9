"""The page of the bench, docs/models.md with its pictures, built from the records alone: equal records give equal bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.bench.arms import Group
from flows.bench.chart import Bar, draw_bars
from flows.bench.comparing import LEVEL
from flows.bench.markdown import percent
from flows.bench.records import PAGE, PICTURES, RECORDS, Record
from flows.bench.tables import DOWN, FLOORS, SINGLE, UP, sort_records, tabulate_localizers, tabulate_losses, tabulate_retrievers
from models.metrics.tan2d import MEAN_IOU

_OWN, _ALONE, _ADDED, _FLOOR, _LOCALIZER = "the preset's own loss", "in its place", "added to it", "floors", "localizers"
_COLOURS = {_LOCALIZER: "#2f7fe0", _OWN: "#e8590c", _ALONE: "#2f7fe0", _ADDED: "#8b5cf6", _FLOOR: "#8a94a0"}
_KINDS = {"own": _OWN, "repeat": _OWN, "alone": _ALONE, "added": _ADDED}
_QUIET = 0.9  # share of a core for a call on one thread; below it, the machine was busy

LeftOut = Mapping[str, Mapping[str, str]]  # role or `loss` -> name -> reason for having no arm
Groups = Mapping[Group, Sequence[Record]]


def build_files(records: Sequence[Record], left_out: LeftOut) -> dict[Path, str]:
    """Return the page and its pictures by path; arms without figures are named."""
    scored = sort_records([record for record in records if record.scores is not None])
    if not scored:
        return {PAGE: "# All components\n\nNo arm has figures yet; `cuepoint bench` runs them.\n"}
    groups: dict[Group, Sequence[Record]] = {"localizer": [], "retriever": [], "floor": [], "loss": []}
    groups |= {group: [record for record in scored if record.group == group] for group in groups}
    sections = [
        describe_bench(scored),
        describe_localizers(groups) if groups["localizer"] else "",
        describe_retrievers(groups["retriever"]) if groups["retriever"] else "",
        describe_losses(groups["loss"]) if groups["loss"] else "",
        describe_missing(records, left_out),
    ]
    return {PAGE: "\n\n".join(filter(None, sections)) + "\n", **draw_pictures(groups)}


def describe_bench(records: Sequence[Record]) -> str:
    """Return the title, the data and machine of the measurements, and how to read them."""
    scores = records[0].require_scores()
    machines = "; ".join(sorted({record.machine for record in records}))
    commits = ", ".join(sorted({record.commit for record in records}))
    corpora = ", ".join(sorted({f"`{record.corpus}`" for record in records}))
    return f"""# All components

```bash
cuepoint bench         # trains and scores the components without figures, and writes this page
cuepoint bench list    # the outcome of each
```

This page compares every localizer, retriever and loss of the project. Each was trained on {corpora} and scored like the stage
`evaluate` on the {scores.split} split: {scores.queries} sentences about {scores.videos} videos. Each row is one training on the
features that `make repro` made. [{RECORDS.name}]({RECORDS.name}) holds the records.

**{SINGLE} marks a row of one training: one seed, on one pretraining, on one processor.** Rounding alone moves single runs by 12
points of R@1 and more: the default run gave 59.7 and 71.5 on two processors. Smaller differences between marked rows decide
nothing. The rows share the features of one pretraining, the step that amplifies rounding. Another pretraining may change their
order. On equal features, rounding and seed moved `place_tan` by about a point ([results.md](results.md)).

- **Figures** are percent. Brackets are 95 % intervals by resampling videos. They cover another draw of videos, but not another
  seed or another processor.
- **Differences** are of mean IoU on the same sentences, in points. {UP} and {DOWN} mark those that stay significant at level
  {LEVEL} over all differences of a table (Holm). This is significance over videos for these two trainings, not over repeated
  trainings.
- **Training** is in seconds, from the start of the process to the kept weights. **Latency** is the median of warm calls on one
  and on two threads, text and features encoded.{_describe_noise(records)}{_describe_resumed(records)}
- **Links** of the last column open the row's MLflow run, with its curves, values and inputs, while `cuepoint ui` runs in the
  checkout where the row was made.

Made at {commits} on {machines}."""


def describe_localizers(groups: Groups) -> str:
    """Return the section of the localizers."""
    localizers, own = groups["localizer"], find_own(groups["loss"])
    baseline = next((record for record in localizers if own and record.preset == own.component), None)
    return f"""## Localizers

A localizer takes one video and one sentence, and answers with the best moment. Each row is a preset. Rows in italics are floors
that answer without understanding: a model that reads only the sentence, the most frequent moments of training, the whole video,
and chance.
{_describe_shuffled(localizers)}

![Mean IoU of every localizer with its interval]({PICTURES["localizer"].name})

{tabulate_localizers(localizers, baseline, groups["floor"])}"""


def describe_retrievers(retrievers: Sequence[Record]) -> str:
    """Return the section of the retrievers."""
    videos = retrievers[0].require_scores().others["collection"]["videos"] or 0
    return f"""## Retrievers

A retriever searches all {videos:.0f} videos at once. R@n is the share of sentences for which one of its first n answers overlaps
a true moment by more than half. Here the retriever works alone, with spans of a grid scored by its clips; in the search service,
a localizer places the moments. The figures in the video are those of its best span in the correct video.

{tabulate_retrievers(retrievers)}"""


def describe_losses(losses: Sequence[Record]) -> str:
    """Return the section of the losses."""
    plan = losses[0].plan
    return f"""## Losses on `{losses[0].component}`

Every row trains the preset `{losses[0].component}` for {plan["training"]["max_epochs"]} epochs, with one thread each and one
training a core, and keeps the best epoch by validation. A loss on scores replaces the preset's own loss, in bold. A loss on
embeddings is added to it with a weight. {_describe_seeds(losses)}

![Mean IoU with every loss, with its interval]({PICTURES["loss"].name})

{tabulate_losses(losses, find_own(losses))}"""


def describe_missing(records: Sequence[Record], left_out: LeftOut) -> str:
    """Return the names without figures and the reasons; an empty text when all have figures."""
    names: dict[str, list[str]] = {}
    for slot, reasons in left_out.items():
        for name, why in reasons.items():
            names.setdefault(f"{slot} without an arm: {why}", []).append(f"`{name}`")
    rows = [f"- {', '.join(named)}: {why}" for why, named in names.items()]
    rows += [f"- `{record.arm}`: {record.status}: {record.reason}" for record in records if record.scores is None]
    return "## Without figures\n\n" + "\n".join(rows) if rows else ""


def draw_pictures(groups: Groups) -> dict[Path, str]:
    """Return the pictures by path, for the groups that have records."""
    title, pictures = "Mean IoU of the first answer, in percent", dict[Path, str]()
    if groups["localizer"]:
        bars = [_make_bar(record, record.preset, _LOCALIZER) for record in groups["localizer"]]
        pictures[PICTURES["localizer"]] = draw_bars(f"{title}: localizers", [*bars, *_list_floor_bars(groups["floor"])], _COLOURS)
    if groups["loss"]:
        bars = [_make_bar(record, record.arm.removeprefix("loss/"), _KINDS[record.use or "own"]) for record in groups["loss"]]
        pictures[PICTURES["loss"]] = draw_bars(f"{title}: losses on {groups['loss'][0].component}", bars, _COLOURS)
    return pictures


def find_own(losses: Sequence[Record]) -> Record | None:
    """Return the record of the preset's own loss, the baseline of the other losses, or None."""
    return next((record for record in losses if record.use == "own"), None)


def _make_bar(record: Record, label: str, kind: str) -> Bar:
    figures = record.require_scores().figures
    return Bar(label, kind, figures[MEAN_IOU] or 0.0, figures[f"{MEAN_IOU}_low"], figures[f"{MEAN_IOU}_high"])


def _list_floor_bars(floors: Sequence[Record]) -> list[Bar]:
    bars = []
    for record in floors:
        others = record.require_scores().others
        bars.append(_make_bar(record, "text only", _FLOOR))
        bars += [Bar(label, _FLOOR, others[name][MEAN_IOU] or 0.0) for name, label in FLOORS.items()]
    return bars


def _describe_noise(records: Sequence[Record]) -> str:
    """Return a warning if other programs used the machine while latencies were measured."""
    shares = [one.cpu_share for record in records for one in record.latency if one.threads == 1]
    busy = sum(share < _QUIET for share in shares)
    return f" The machine was busy during {busy} of {len(shares)} measurements on one thread; those are too high." if busy else ""


def _describe_resumed(records: Sequence[Record]) -> str:
    """Explain the mark of resumed trainings, if there are any."""
    resumed = any(record.training and record.training.resumed for record in records)
    return " † marks a training that was killed and resumed; its seconds are those of all its parts." if resumed else ""


def _describe_shuffled(localizers: Sequence[Record]) -> str:
    """Return the best mean IoU of a localizer that reads another video than the right one."""
    found = {record.preset: record.require_scores().others.get("shuffled", {}).get(MEAN_IOU) or 0.0 for record in localizers}
    best = max(found, key=lambda name: found[name])
    if not found[best]:
        return ""
    return f"With another video than the correct one, no localizer has a mean IoU above {percent(found[best])} (`{best}`)."


def _describe_seeds(losses: Sequence[Record]) -> str:
    """Return the spread of the preset's own loss over seeds."""
    own = [record.require_scores().figures[MEAN_IOU] or 0.0 for record in losses if record.use in ("own", "repeat")]
    if len(own) < 2:
        return ""
    spread = f"with {len(own)} seeds its mean IoU ranges from {percent(min(own))} to {percent(max(own))}"
    return f"Seeds alone move the preset's own loss: {spread}. Smaller differences may be chance."

"""The page of the bench, docs/models.md with its pictures: made from the records alone, so equal records give equal bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.bench.arms import Group
from flows.bench.chart import Bar, draw_bars
from flows.bench.comparing import LEVEL
from flows.bench.markdown import percent
from flows.bench.records import PAGE, PICTURES, RECORDS, Record
from flows.bench.tables import DOWN, FLOORS, UP, sort_records, tabulate_localizers, tabulate_losses, tabulate_retrievers
from models.metrics.tan2d import MEAN_IOU

_OWN, _ALONE, _ADDED, _FLOOR, _LOCALIZER = "the preset's own loss", "in its place", "added to it", "floors", "localizers"
_COLOURS = {_LOCALIZER: "#2f7fe0", _OWN: "#e8590c", _ALONE: "#2f7fe0", _ADDED: "#8b5cf6", _FLOOR: "#8a94a0"}
_KINDS = {"own": _OWN, "repeat": _OWN, "alone": _ALONE, "added": _ADDED}
_QUIET = 0.9  # of a core that a call on one thread had: less, and the machine was busy

LeftOut = Mapping[str, Mapping[str, str]]  # role or `loss` -> name -> why it has no arm
Groups = Mapping[Group, Sequence[Record]]


def build_files(records: Sequence[Record], left_out: LeftOut) -> dict[Path, str]:
    """Return the page and its pictures by path; arms without figures are named."""
    scored = sort_records([record for record in records if record.scores is not None])
    if not scored:
        return {PAGE: "# Localizers, retrievers and losses\n\nNo arm has figures yet; `make models` runs them.\n"}
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
    """Return title, what was measured where, and how to read it."""
    scores = records[0].require_scores()
    machines = "; ".join(sorted({record.machine for record in records}))
    commits = ", ".join(sorted({record.commit for record in records}))
    corpora = ", ".join(sorted({f"`{record.corpus}`" for record in records}))
    return f"""# Localizers, retrievers and losses

What helps? Every localizer, retriever and loss of the project, trained on {corpora} and scored on its {scores.split} split,
{scores.queries} sentences about {scores.videos} videos, as stage `evaluate` scores. Each row is one training on the features
that `make repro` made; `make models` runs what has no record in [{RECORDS.name}]({RECORDS.name}) and writes this page.

- Figures are percent; brackets are 95 % intervals by resampling videos. They say how far another draw of videos would move a
  figure, not how far another seed of the training would.
- A difference is of mean IoU on the same sentences, in points. {UP} and {DOWN} mark those that stay significant at level {LEVEL}
  when all differences of a table are looked at together (Holm).
- Seconds of training run from the start of the process to the kept weights; latency is the median of warm calls on one and on
  two threads, text and features encoded.{_describe_noise(records)}{_describe_resumed(records)}
- A link of the last column opens the row's MLflow run, with its curves, values and inputs, while `make ui` runs in the checkout
  where the row was made.

Made at {commits} on {machines}."""


def describe_localizers(groups: Groups) -> str:
    """Return the section of the localizers."""
    localizers, own = groups["localizer"], find_own(groups["loss"])
    baseline = next((record for record in localizers if own and record.component == own.component), None)
    return f"""## Localizers

Each with its default preset: one video and one sentence go in, the best moment comes out. Rows in italics answer without
understanding: a model that reads only the sentence, the most frequent moments of training, the whole video, chance.
{_describe_shuffled(localizers)}

![Mean IoU of every localizer with its interval]({PICTURES["localizer"].name})

{tabulate_localizers(localizers, baseline, groups["floor"])}"""


def describe_retrievers(retrievers: Sequence[Record]) -> str:
    """Return the section of the retrievers."""
    videos = retrievers[0].require_scores().others["collection"]["videos"] or 0
    return f"""## Retrievers

A retriever searches all {videos:.0f} videos at once: R@n says how often one of its first n answers overlaps a true moment by
more than half. Here it works alone, with spans of a grid scored by its clips; the search service lets a localizer place
the moments. The figures in the video are those of its best span in the right one.

{tabulate_retrievers(retrievers)}"""


def describe_losses(losses: Sequence[Record]) -> str:
    """Return the section of the losses."""
    plan = losses[0].plan
    return f"""## Losses on `{losses[0].component}`

All train the preset `{losses[0].component}` for {plan["training"]["max_epochs"]} epochs, with one thread each and as many at a
time as there are cores, and keep the best epoch by validation. A loss on scores takes the place of the preset's own, in bold;
one on embeddings is added to it with a weight. {_describe_seeds(losses)}

![Mean IoU with every loss, with its interval]({PICTURES["loss"].name})

{tabulate_losses(losses, find_own(losses))}"""


def describe_missing(records: Sequence[Record], left_out: LeftOut) -> str:
    """Return what has no figures, and why; nothing where all have."""
    names: dict[str, list[str]] = {}
    for slot, reasons in left_out.items():
        for name, why in reasons.items():
            names.setdefault(f"{slot} without an arm: {why}", []).append(f"`{name}`")
    rows = [f"- {', '.join(named)}: {why}" for why, named in names.items()]
    rows += [f"- `{record.arm}`: {record.status}: {record.reason}" for record in records if record.scores is None]
    return "## Without figures\n\n" + "\n".join(rows) if rows else ""


def draw_pictures(groups: Groups) -> dict[Path, str]:
    """Return the pictures by path, of the groups that there are."""
    title, pictures = "Mean IoU of the first answer, in percent", dict[Path, str]()
    if groups["localizer"]:
        bars = [_make_bar(record, record.component, _LOCALIZER) for record in groups["localizer"]]
        pictures[PICTURES["localizer"]] = draw_bars(f"{title}: localizers", [*bars, *_list_floor_bars(groups["floor"])], _COLOURS)
    if groups["loss"]:
        bars = [_make_bar(record, record.arm.removeprefix("loss/"), _KINDS[record.use or "own"]) for record in groups["loss"]]
        pictures[PICTURES["loss"]] = draw_bars(f"{title}: losses on {groups['loss'][0].component}", bars, _COLOURS)
    return pictures


def find_own(losses: Sequence[Record]) -> Record | None:
    """Return the record of the preset's own loss, if there is one: what the other losses are compared with."""
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
    """Say whether latencies were measured while something else used the machine."""
    shares = [one.cpu_share for record in records for one in record.latency if one.threads == 1]
    busy = sum(share < _QUIET for share in shares)
    return f" The machine was busy during {busy} of {len(shares)} measurements on one thread: those are too high." if busy else ""


def _describe_resumed(records: Sequence[Record]) -> str:
    """Explain the mark of trainings that went on after a kill, where there are some."""
    resumed = any(record.training and record.training.resumed for record in records)
    return " † marks a training that was killed and went on: its seconds are those of all its parts." if resumed else ""


def _describe_shuffled(localizers: Sequence[Record]) -> str:
    """Say what the best localizer finds when it looks at another video."""
    found = {record.component: record.require_scores().others.get("shuffled", {}).get(MEAN_IOU) or 0.0 for record in localizers}
    best = max(found, key=lambda name: found[name])
    if not found[best]:
        return ""
    return f"Looking at another video than the right one, no localizer has a mean IoU above {percent(found[best])} (`{best}`)."


def _describe_seeds(losses: Sequence[Record]) -> str:
    """Say how far the preset's own loss moves with the seed."""
    own = [record.require_scores().figures[MEAN_IOU] or 0.0 for record in losses if record.use in ("own", "repeat")]
    if len(own) < 2:
        return ""
    spread = f"with {len(own)} seeds its mean IoU goes from {percent(min(own))} to {percent(max(own))}"
    return f"Seeds alone move the preset's own loss: {spread}; smaller differences may be chance."

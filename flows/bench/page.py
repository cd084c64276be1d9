"""The page of the bench, docs/models.md with its pictures: made from the records alone, so equal records give equal bytes."""

from collections.abc import Mapping, Sequence

from flows.bench.arms import Arm
from flows.bench.catalogue import Catalogue
from flows.bench.chart import Bar, draw_bars
from flows.bench.comparing import LEVEL
from flows.bench.markdown import percent
from flows.bench.records import Record
from flows.bench.tables import (
    DOWN,
    FLOORS,
    UP,
    Line,
    sort_lines,
    tabulate_localizers,
    tabulate_losses,
    tabulate_retrievers,
)
from models.metrics.tan2d import MEAN_IOU

_OWN, _ALONE, _ADDED, _FLOOR, _LOCALIZER = "the preset's own loss", "in its place", "added to it", "floors", "localizers"
_COLOURS = {_LOCALIZER: "#2f7fe0", _OWN: "#e8590c", _ALONE: "#2f7fe0", _ADDED: "#8b5cf6", _FLOOR: "#8a94a0"}
_KINDS = {"own": _OWN, "repeat": _OWN, "alone": _ALONE, "added": _ADDED, None: _ALONE}
_QUIET = 0.9  # of a core that a call on one thread had: less, and the machine was busy


def build_files(catalogue: Catalogue, arms: Sequence[Arm], records: Mapping[str, Record]) -> dict[str, str]:
    """Return the page and its pictures by file name; `records` are by arm, and arms without figures are named."""
    lines = [Line(arm, records[arm.name]) for arm in arms if arm.name in records]
    scored = [line for line in lines if line.record.scores is not None]
    if not scored:
        return {"models.md": "# Localizers, retrievers and losses\n\nNo arm has run yet; `make models` runs them.\n"}
    sections = [
        describe_bench(scored),
        describe_localizers(catalogue, scored),
        describe_retrievers(scored),
        describe_losses(catalogue, scored),
        describe_missing(catalogue, arms, records),
    ]
    return {"models.md": "\n\n".join(filter(None, sections)) + "\n", **draw_pictures(catalogue, scored)}


def describe_bench(lines: Sequence[Line]) -> str:
    """Return title, what was measured where, and how to read it."""
    scores = lines[0].scores
    machines = "; ".join(sorted({line.record.machine for line in lines}))
    commits = ", ".join(sorted({line.record.commit for line in lines}))
    corpora = ", ".join(sorted({f"`{line.record.corpus}`" for line in lines}))
    return f"""# Localizers, retrievers and losses

What helps? Every localizer, retriever and loss of the project, trained on {corpora} and scored on its {scores.split} split,
{scores.queries} sentences about {scores.videos} videos, as stage `evaluate` scores. Each row is one training on the features
that `make repro` made; `make models` runs the rows that have no record in [models.jsonl](models.jsonl) and writes this page.

- Figures are percent; brackets are 95 % intervals by resampling videos. They say how far another draw of videos would move a
  figure, not how far another seed of the training would.
- A difference is of mean IoU on the same sentences, in points. {UP} and {DOWN} mark those that stay significant at level {LEVEL}
  when all differences of a table are looked at together (Holm).
- Seconds of training run from the start of the process to the kept weights; latency is the median of warm calls on one and on
  two threads, text and features encoded.{_describe_noise(lines)}{_describe_resumed(lines)}
- A link of the last column opens the row's MLflow run, with its curves, values and inputs, while `make ui` runs in the checkout
  where the row was made.

Made at {commits} on {machines}."""


def describe_localizers(catalogue: Catalogue, lines: Sequence[Line]) -> str:
    """Return the section of the localizers; nothing where none has run."""
    if not [line for line in lines if line.arm.group == "localizer"]:
        return ""
    return f"""## Localizers

Each with its default preset: one video and one sentence go in, the best moment comes out. Rows in italics answer without
understanding: a model that reads only the sentence, the most frequent moments of training, the whole video, chance.
{_describe_shuffled(lines)}

![Mean IoU of every localizer with its interval](models.svg)

{tabulate_localizers(lines, find_line(lines, f"localizer/{catalogue.losses.localizer}"))}"""


def describe_retrievers(lines: Sequence[Line]) -> str:
    """Return the section of the retrievers; nothing where none has run."""
    retrievers = [line for line in lines if line.arm.group == "retriever"]
    if not retrievers:
        return ""
    scores = retrievers[0].scores
    videos = scores.others["collection"]["videos"] or 0
    return f"""## Retrievers

A retriever searches all {videos:.0f} videos at once: R@n says how often one of its first n answers overlaps a true moment by
more than half. Here it works alone, with spans of a grid scored by its clips; the search service lets a localizer place
the moments. The last figures are those of its best span in the right video.

{tabulate_retrievers(lines)}"""


def describe_losses(catalogue: Catalogue, lines: Sequence[Line]) -> str:
    """Return the section of the losses; nothing where none has run."""
    losses, choices = [line for line in lines if line.arm.group == "loss"], catalogue.losses
    if not losses:
        return ""
    return f"""## Losses on `{choices.localizer}`

All train the preset `{choices.localizer}` for {choices.max_epochs} epochs, two at a time with one thread each, and keep the best
epoch by validation. A loss on scores takes the place of the preset's own; one on embeddings is added to it with a weight.
{_describe_seeds(losses)}

![Mean IoU with every loss, with its interval](losses.svg)

{tabulate_losses(lines, find_own(losses))}"""


def describe_missing(catalogue: Catalogue, arms: Sequence[Arm], records: Mapping[str, Record]) -> str:
    """Return what has no figures, and why; nothing where all have."""
    rows = [f"- {', '.join(names)}: {why}" for why, names in _group_reasons(catalogue).items()]
    for arm in arms:
        if arm.name not in records:
            rows.append(f"- `{arm.name}`: not run yet")
        elif records[arm.name].scores is None:
            rows.append(f"- `{arm.name}`: {records[arm.name].status}: {records[arm.name].reason}")
    return "## Without figures\n\n" + "\n".join(rows) if rows else ""


def draw_pictures(catalogue: Catalogue, lines: Sequence[Line]) -> dict[str, str]:
    """Return the pictures by file name."""
    groups = {group: sort_lines([line for line in lines if line.arm.group == group]) for group in ("localizer", "loss", "floor")}
    localizers = [_make_bar(line, line.component, _LOCALIZER) for line in groups["localizer"]]
    for line in groups["floor"]:
        localizers.append(_make_bar(line, "text only", _FLOOR))
        localizers += [Bar(label, _FLOOR, line.scores.others[name][MEAN_IOU] or 0.0) for name, label in FLOORS.items()]
    losses = [_make_bar(line, line.arm.name.removeprefix("loss/"), _KINDS[line.arm.use]) for line in groups["loss"]]
    title = "Mean IoU of the first answer, in percent"
    pictures = {"models.svg": (f"{title}: localizers", localizers)}
    pictures |= {"losses.svg": (f"{title}: losses on {catalogue.losses.localizer}", losses)}
    return {name: draw_bars(title, bars, _COLOURS) for name, (title, bars) in pictures.items() if bars}


def find_line(lines: Sequence[Line], name: str) -> Line | None:
    """Return the line of an arm, if it has one."""
    return next((line for line in lines if line.arm.name == name), None)


def find_own(lines: Sequence[Line]) -> Line | None:
    """Return the line of the preset's own loss, if it has one: what the other losses are compared with."""
    return next((line for line in lines if line.arm.use == "own"), None)


def _group_reasons(catalogue: Catalogue) -> dict[str, list[str]]:
    """Return what is left out by reason."""
    names: dict[str, list[str]] = {}
    for slot, reasons in catalogue.left_out.items():
        for name, why in reasons.items():
            names.setdefault(f"{slot} without an arm: {why}", []).append(f"`{name}`")
    return names


def _describe_resumed(lines: Sequence[Line]) -> str:
    """Explain the mark of trainings that went on after a kill, where there are some."""
    resumed = any(line.record.training and line.record.training.resumed for line in lines)
    return " † marks a training that was killed and went on: its seconds are those of all its parts." if resumed else ""


def _make_bar(line: Line, label: str, kind: str) -> Bar:
    figures = line.scores.figures
    return Bar(label, kind, figures[MEAN_IOU] or 0.0, figures[f"{MEAN_IOU}_low"], figures[f"{MEAN_IOU}_high"])


def _describe_noise(lines: Sequence[Line]) -> str:
    """Say whether latencies were measured while something else used the machine."""
    shares = [one.cpu_share for line in lines for one in line.record.latency if one.threads == 1]
    busy = sum(share < _QUIET for share in shares)
    return f" The machine was busy during {busy} of {len(shares)} measurements on one thread: those are too high." if busy else ""


def _describe_shuffled(lines: Sequence[Line]) -> str:
    """Say what the best localizer finds when it looks at another video."""
    shown = [(line.scores.others["shuffled"][MEAN_IOU] or 0.0, line) for line in lines if "shuffled" in line.scores.others]
    shown = [(value, line) for value, line in shown if line.arm.group == "localizer"]
    if not shown:
        return ""
    value, line = max(shown, key=lambda pair: pair[0])
    return (
        f"Looking at another video than the right one, no localizer has a mean IoU above {percent(value)} (`{line.component}`)."
    )


def _describe_seeds(losses: Sequence[Line]) -> str:
    """Say how far the preset's own loss moves with the seed."""
    values = sorted(line.scores.figures[MEAN_IOU] or 0.0 for line in losses if line.arm.use in ("own", "repeat"))
    if len(values) < 2:
        return ""
    spread = f"with {len(values)} seeds its mean IoU goes from {percent(values[0])} to {percent(values[-1])}"
    return f"Seeds alone move the preset's own loss: {spread}; smaller differences may be chance."

"""One watch of the traffic: takes a window of the log, compares it with training, and writes the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from corpus.files import write_bytes
from evaluation.drift.comparison import Comparison, compare
from evaluation.drift.examples import choose_examples
from evaluation.drift.outliers import METHODS, find_odd
from evaluation.drift.report import Report, build_markdown, build_page
from evaluation.drift.samples import Sample
from flows.watching.rules import Action, Check, WatchRules, add_check, correct_clock, decide, follow, load_state, save_state
from flows.watching.samples import (
    Places,
    build_reference,
    build_window,
    collapse_repeats,
    count_feedback,
    load_upload_clips,
)
from flows.watching.sentences import SentenceReader
from serving.traffic.log import FOLDER
from serving.traffic.rows import TrafficRow
from serving.traffic.segments import read_rows

PAGE, MARKDOWN = "drift.html", "drift.md"
ODD_SHARE = 0.005  # of the sentences of training would be called odd
AUTOENCODER = "memory autoencoder"
_SEED = 2026


class Watched(NamedTuple):
    """The outcome of one watch."""

    action: Action
    comparison: Comparison | None  # None: there was too little traffic
    markdown: str
    page: Path | None
    num_rows: int


def watch(
    places: Places,
    watch_dir: Path,
    rules: WatchRules,
    *,
    now_s: float,
    records: bool,
    with_autoencoder: bool = False,
) -> Watched:
    """Compare the newest window with training and write `drift.html` and `drift.md` to `watch_dir`.

    With `records`, the window starts after the last recorded one and counts for the rules; without, the newest rows are
    compared and nothing is remembered. The caller starts the retrain and records it.

    Raises:
        FileNotFoundError: when the traffic log, corpus, bundle or index are missing.
        ValueError: when one of them is damaged or of another version.
    """
    reader = SentenceReader(places.bundle_dir)
    state = correct_clock(follow(load_state(watch_dir), reader.bundle.version), now_s=now_s)
    rows = take_window(places.state_dir, rules, since_s=state.checked_until_s if records else 0.0, until_s=now_s)
    if len(rows) < rules.min_rows:
        reason = f"Nothing compared: {len(rows)} sentences, and a window needs {rules.min_rows}."
        return Watched(Action(False, reason), None, f"{reason}\n", None, len(rows))
    reference, window = _build_samples(places, reader, rows)
    comparison = compare(reference, window, seed=_SEED, level=rules.level)
    check = Check(time_s=now_s, rows=len(rows), p_value=comparison.p_value, has_drift=comparison.has_drift)
    state = add_check(state, check, until_s=rows[-1].time_s)
    action = decide(state, rules, now_s=now_s) if records else Action(False, _describe_report(comparison))
    report = Report(
        comparison=comparison,
        examples=choose_examples(reference, window),
        odd=_find_odd(reference, window, with_autoencoder=with_autoencoder),
        num_reference=len(reference.num_words),
        num_window=len(rows),
        first_s=rows[0].time_s,
        last_s=rows[-1].time_s,
        model=reader.bundle.version[:12],
        action=action.reason,
    )
    page = _write(report, watch_dir)
    if records:  # last: a watch that is killed looks at its window again
        save_state(watch_dir, state)
    return Watched(action, comparison, build_markdown(report), page, len(rows))


def _write(report: Report, folder: Path) -> Path:
    """Write the page and the Markdown, and return the path of the page."""
    write_bytes(folder / MARKDOWN, build_markdown(report).encode())
    write_bytes(folder / PAGE, build_page(report).encode())
    return folder / PAGE


def take_window(state_dir: Path, rules: WatchRules, *, since_s: float, until_s: float) -> list[TrafficRow]:
    """Return the newest rows after `since_s` and up to `until_s`, oldest first, at most `max_rows`.

    Raises:
        FileNotFoundError: when the service has no traffic log.
    """
    folder = state_dir / FOLDER
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} does not exist: no service has logged traffic there; serve with CUEPOINT_TRAFFIC_MB above 0, "
            "or name the service's folder with --state"
        )
    found = (row for row in read_rows(folder, since_s=since_s) if since_s < row.time_s <= until_s)
    rows = sorted(found, key=lambda row: row.time_s)
    return collapse_repeats(rows)[-rules.max_rows :]


def _build_samples(places: Places, reader: SentenceReader, rows: Sequence[TrafficRow]) -> tuple[Sample, Sample]:
    first_s = rows[0].time_s
    before = count_feedback(places.state_dir, to_s=first_s)
    reference = build_reference(places, reader, feedback=before)
    now = count_feedback(places.state_dir, from_s=first_s)
    return reference, build_window(rows, reader, feedback=now, clips=load_upload_clips(places, reader))


def _describe_report(comparison: Comparison) -> str:
    if comparison.has_drift:
        return "This report starts nothing; the flow watch starts a retrain if drift persists."
    return "Nothing follows from this report."


def _find_odd(reference: Sample, window: Sample, *, with_autoencoder: bool) -> dict[str, tuple[tuple[str, float], ...]]:
    """Return the odd sentences of a window by each method, with their score in units of the threshold."""
    if reference.vectors is None or window.vectors is None or window.texts is None:
        return {}
    methods = dict(METHODS)
    if with_autoencoder:
        from evaluation.drift.memory_autoencoder import RebuildError  # loads torch

        methods[AUTOENCODER] = RebuildError
    odd = {}
    for name, fit in methods.items():
        found = find_odd(name, fit(reference.vectors), window.vectors, share=ODD_SHARE)
        odd[name] = tuple((window.texts[one], float(found.scores[one] / found.threshold)) for one in found.odd)
    return odd

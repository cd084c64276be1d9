"""The decision of the gate: every rule with its outcome, and whether the challenger becomes the champion."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from corpus.moments import Floats, Ints
from evaluation.gate.comparison import Pair, Paired, bound_gain, bound_guards
from evaluation.gate.evidence import Evidence, Side
from evaluation.gate.params import GateParams, Guard

COLLECTION = "collection_"  # prefix of the figures of searched queries


class Check(NamedTuple):
    """The outcome of one rule, in a sentence with its figures."""

    rule: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class GateDecision:
    """Whether the challenger is promoted, by which checks."""

    promoted: bool
    checks: tuple[Check, ...]
    gain: Paired | None = None  # of the main metric
    guards: tuple[Paired, ...] = ()
    skipped: tuple[str, ...] = ()  # slices of too few videos

    @property
    def reason(self) -> str:
        """The details of the failed checks, or of all checks after a promotion."""
        return "; ".join(check.detail for check in self.checks if self.promoted or not check.passed)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, with null for bounds that are unknown."""
        return {
            "promoted": self.promoted,
            "reason": self.reason,
            "checks": [check._asdict() for check in self.checks],
            "gain": None if self.gain is None else _to_json(self.gain),
            "guards": [_to_json(one) for one in self.guards],
            "skipped": list(self.skipped),
        }


def decide(evidence: Evidence, params: GateParams) -> GateDecision:
    """Judge a challenger. Rules whose figures are missing fail; a comparison needs finite figures of both sides."""
    sealed = Check("sealed", evidence.sealed, evidence.seal_note)
    complete = _check_complete(evidence, params)
    first = (sealed, *complete)
    if not all(check.passed for check in complete):
        return GateDecision(False, first)
    budgets = tuple(_check_budgets(evidence, params))
    if evidence.champion is None:
        checks = (*first, Check("gain", True, "there was no champion to compare with"), *budgets)
        return GateDecision(all(check.passed for check in checks), checks)
    gain, guards, skipped = compare(evidence, params)
    checks = (*first, _check_gain(gain, params), _check_guards(guards, params), *budgets)
    return GateDecision(all(check.passed for check in checks), checks, gain, tuple(guards), tuple(skipped))


def compare(evidence: Evidence, params: GateParams) -> tuple[Paired, list[Paired], list[str]]:
    """Return the comparison of the main metric, those of the guards, and the slices of too few videos."""
    pairs = list(_pair_guards(evidence, params))
    judged = [pair for pair in pairs if len(np.unique(pair.videos)) >= params.min_videos]
    skipped = [pair.label for pair in pairs if len(np.unique(pair.videos)) < params.min_videos]
    settings = _Settings(params.confidence, params.samples, params.seed)
    gain = bound_gain(_pair(evidence, Guard(metric=params.metric, tolerance=0.0)), **settings._asdict())
    return gain, bound_guards(judged, **settings._asdict()), skipped


class _Settings(NamedTuple):
    confidence: float
    num_samples: int
    seed: int


def _pair_guards(evidence: Evidence, params: GateParams) -> Iterator[Pair]:
    for guard in params.guards:
        if guard.slices is None:
            yield _pair(evidence, guard)
            continue
        for one in evidence.queries.slices:
            if one.group == guard.slices:
                yield _pair(evidence, guard, rows=np.flatnonzero(one.rows), label=f"{guard.metric}, {one.group}: {one.value}")


def _pair(evidence: Evidence, guard: Guard, *, rows: Ints | None = None, label: str = "") -> Pair:
    """Pair the figures of both sides, on the chosen rows."""
    assert evidence.champion is not None
    videos = evidence.queries.videos
    if guard.metric.startswith(COLLECTION):
        videos = videos[evidence.queries.searched]
    ours, theirs = (_find(side, guard.metric) for side in (evidence.challenger, evidence.champion))
    assert ours is not None  # the check of completeness is before the comparison
    assert theirs is not None
    chosen = np.arange(len(ours)) if rows is None else rows
    return Pair(label or guard.metric, ours[chosen], theirs[chosen], videos[chosen], guard.tolerance)


def _find(side: Side, metric: str) -> Floats | None:
    if metric.startswith(COLLECTION):
        return side.searched.get(metric.removeprefix(COLLECTION))
    return side.figures.get(metric)


def _check_complete(evidence: Evidence, params: GateParams) -> list[Check]:
    """Check that each side has every figure of every query, as finite numbers."""
    if not len(evidence.queries):
        return [Check("complete", False, f"the split {params.split} has no queries")]
    checks = []
    for side in filter(None, (evidence.challenger, evidence.champion)):
        problems = list(_find_problems(side, evidence, params))
        checks.append(Check(f"figures of {side.name}", not problems, "; ".join(problems) or f"{side.name} answered everything"))
    return checks


def _find_problems(side: Side, evidence: Evidence, params: GateParams) -> Iterator[str]:
    groups = {one.group for one in evidence.queries.slices}
    for metric in dict.fromkeys([params.metric, *(guard.metric for guard in params.guards)]):
        values = _find(side, metric)
        expected = len(evidence.queries.searched) if metric.startswith(COLLECTION) else len(evidence.queries)
        if values is None:
            yield f"{side.name} has no figure {metric}"
        elif len(values) != expected:
            yield f"{side.name} has {metric} of {len(values)} queries, expected {expected}"
        elif not np.isfinite(values).all():
            yield f"{side.name} has {int((~np.isfinite(values)).sum())} values of {metric} that are not finite numbers"
    for guard in params.guards:
        if guard.slices is not None and guard.slices not in groups:
            yield f"the split has no slices {guard.slices!r}; known: {', '.join(sorted(groups)) or 'none'}"


def _check_gain(gain: Paired, params: GateParams) -> Check:
    said = f"{gain.label} {100 * gain.challenger:.2f} % against {100 * gain.champion:.2f} %"
    bound = f"one-sided {100 * params.confidence:g} % bound of the difference {100 * gain.low:+.2f} points"
    return Check("gain", bool(gain.low > 0), f"{said}, {bound}, which must be above 0")


def _check_guards(guards: Sequence[Paired], params: GateParams) -> Check:
    harmed = [one for one in guards if one.is_harmed]
    if not harmed:
        return Check("guards", True, f"no guard of {len(guards)} is harmed")
    named = (
        f"{one.label} {100 * one.difference:+.2f} points [{100 * one.low:+.2f}, {100 * one.high:+.2f}], "
        f"tolerance {100 * one.tolerance:g}"
        for one in harmed
    )
    return Check("guards", False, f"harmed: {', '.join(named)}")


def _check_budgets(evidence: Evidence, params: GateParams) -> Iterator[Check]:
    ours, theirs, budgets = evidence.challenger, evidence.champion, params.budgets
    limits = _Limits(budgets.max_latency_ms, budgets.max_latency_ratio)
    yield _check_budget("latency", ours.latency_ms, None if theirs is None else theirs.latency_ms, limits, "ms")
    limits = _Limits(budgets.max_size_mb, budgets.max_size_ratio)
    yield _check_budget("size", _find_megabytes(ours), _find_megabytes(theirs), limits, "MB")


def _find_megabytes(side: Side | None) -> float | None:
    return None if side is None or side.size_bytes is None else side.size_bytes / 1e6


class _Limits(NamedTuple):
    most: float | None
    ratio: float


def _check_budget(name: str, ours: float | None, theirs: float | None, limits: _Limits, unit: str) -> Check:
    if ours is None or not math.isfinite(ours):
        return Check(name, False, f"the {name} of the challenger is not known")
    limit = min(_or_infinite(limits.most), math.inf if theirs is None else theirs * limits.ratio)
    said = f"{name} {ours:.1f} {unit}"
    if math.isinf(limit):
        return Check(name, True, said)
    return Check(name, ours <= limit, f"{said}, limit {limit:.1f} {unit}")


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else value


def _to_json(paired: Paired) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in paired._asdict().items()
    }

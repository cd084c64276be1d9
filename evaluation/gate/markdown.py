"""A decision of the gate as Markdown: for Prefect, MLflow and a pull request."""

from collections.abc import Iterable

from evaluation.gate.comparison import Paired
from evaluation.gate.decision import Check, GateDecision
from evaluation.gate.evidence import Evidence


def describe_decision(decision: GateDecision, evidence: Evidence, *, looks: int) -> str:
    """Return the whole decision: outcome, reason, checks, comparison and the queries that it rests on."""
    return "\n".join(
        [
            f"## {'Promoted' if decision.promoted else 'Rejected'}: {evidence.challenger.name}",
            "",
            f"{decision.reason}.",
            "",
            *_list_checks(decision.checks),
            "",
            *tabulate(decision),
            "",
            _describe_queries(evidence, looks),
            *([f"Too few videos to judge: {', '.join(decision.skipped)}."] if decision.skipped else []),
            "",
        ]
    )


def tabulate(decision: GateDecision) -> list[str]:
    """Return the comparison as the lines of a Markdown table, in percent; nothing without a champion."""
    if decision.gain is None:
        return ["There was no champion to compare with."]
    head = ["| figure | champion | challenger | difference | interval | tolerance | queries / videos |  |"]
    rows = [_write_row(decision.gain, "gain" if decision.gain.low > 0 else "no gain")]
    rows += [_write_row(one, "harmed" if one.is_harmed else "ok") for one in decision.guards]
    return [*head, "|---|---|---|---|---|---|---|---|", *rows]


def _list_checks(checks: Iterable[Check]) -> list[str]:
    return [f"- {'✅' if check.passed else '❌'} **{check.rule}**: {check.detail}" for check in checks]


def _write_row(one: Paired, outcome: str) -> str:
    cells = [
        one.label,
        f"{100 * one.champion:.2f}",
        f"{100 * one.challenger:.2f}",
        f"{100 * one.difference:+.2f}",
        f"[{100 * one.low:+.2f}, {100 * one.high:+.2f}]",
        f"{100 * one.tolerance:g}",
        f"{one.num_queries} / {one.num_videos}",
        outcome,
    ]
    return f"| {' | '.join(cells)} |"


def _describe_queries(evidence: Evidence, looks: int) -> str:
    queries = evidence.queries
    return (
        f"{len(queries)} frozen queries (sha256 {queries.digest[:12]}), {len(queries.searched)} of them also over all videos. "
        f"They were looked at {looks} {'time' if looks == 1 else 'times'}."
    )

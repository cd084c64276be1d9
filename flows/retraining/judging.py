"""The gate over the working tree: champion and challenger answer the frozen queries, and the decision is recorded once."""

from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import read_json, sha256_file, sha256_json
from corpus.records import load_corpus
from corpus.schema_files import load_yaml, validate
from evaluation.gate.answering import Contender, answer, freeze
from evaluation.gate.decision import GateDecision, decide
from evaluation.gate.evidence import Evidence, Frozen
from evaluation.gate.markdown import describe_decision
from evaluation.gate.params import GateParams
from evaluation.questions import Questions
from pipeline import paths
from pipeline.components.presets import preset_path
from pipeline.launch.serve import open_version
from pipeline.params import load_params
from pipeline.retraining.seal import Seal, UnsealedError, read_seal
from pipeline.tracking.champion import BENTO_FILE, METRICS, read_validation_figures, register_working_tree
from pipeline.tracking.gate_runs import GateRun, count_looks, find_decision, record_decision
from pipeline.tracking.promotions import WITHDRAWN_TAG, explain_rejection, find_version, promote, tag_version
from pipeline.tracking.registry import ServedVersion, find_champion

GATE_PRESETS = "gate"


class Verdict(NamedTuple):
    """The outcome of a retraining."""

    outcome: str  # promoted, rejected, or nothing to do
    reason: str
    page: str  # Markdown
    version: str | None = None


class Match(NamedTuple):
    """A challenger, a champion and the queries between them, with the key of their decision."""

    digest: str
    champion: ServedVersion | None
    params: GateParams
    questions: Questions
    queries: Frozen

    @property
    def key(self) -> str:
        """The hash of everything that the decision depends on."""
        champion = None if self.champion is None else self.champion.digest
        return sha256_json([self.digest, champion, self.queries.digest, self.params.model_dump(mode="json")])


def judge_and_promote(sealed: Seal, *, who: str, why: str) -> Verdict:
    """Judge the bento of the working tree, register it with the decision, and promote it if the gate accepts it.

    The alias moves last. A second call for the same bento changes nothing, and finishes what a kill interrupted.

    Raises:
        ValueError: when the corpus has no queries for the gate, or the champion's bento is damaged.
        TrackingError: when the registry cannot be used; the alias does not move.
    """
    digest = sha256_file(paths.BENTO / BENTO_FILE)
    known, champion = find_version(digest), find_champion()
    if champion is not None and champion.digest == digest:
        return _do_nothing(f"this bundle is already the champion (version {champion.version})", champion.version)
    if known is not None and known.tags.get(WITHDRAWN_TAG):
        return _do_nothing(f"version {known.version} was taken back: {known.tags[WITHDRAWN_TAG]}", known.version)
    match = _match(digest, champion)
    before = find_decision(match.key)
    run = before or judge(match, sealed)
    version = register_working_tree(digest, read_validation_figures(read_json(METRICS)))
    tag_version(version, _describe_version(run, sealed))
    if not run.decision["promoted"]:
        outcome = "nothing to do" if before else "rejected"
        if before is None or known is None:
            explain_rejection(version, who=who, why=f"{why}; {run.decision['reason']}")
        return Verdict(outcome, run.decision["reason"], run.page, version)
    promote(version, who=who, why=f"{why}; {run.decision['reason']}")
    return Verdict("promoted", run.decision["reason"], run.page, version)


def compare_with_champion() -> str:
    """Return the page of the decision about the working tree's bento, and move nothing; an unsealed bento is rejected.

    Raises:
        ValueError, TrackingError: as `judge_and_promote`.
    """
    try:
        sealed: Seal | UnsealedError = read_seal()
    except UnsealedError as error:
        sealed = error
    digest, champion = sha256_file(paths.BENTO / BENTO_FILE), find_champion()
    if champion is not None and champion.digest == digest:
        return _do_nothing(f"this bundle is already the champion (version {champion.version})", champion.version).page
    match = _match(digest, champion)
    known = find_decision(match.key) if isinstance(sealed, Seal) else None
    return (known or judge(match, sealed)).page


def judge(match: Match, sealed: Seal | UnsealedError) -> GateRun:
    """Let both sides answer the queries, decide, and record the decision as one more look at the queries."""
    evidence = collect_evidence(match, sealed)
    decision = decide(evidence, match.params)
    looks = count_looks(match.queries.digest) + 1
    page = describe_decision(decision, evidence, looks=looks)
    return record_decision(
        _to_json(decision, evidence, looks),
        page,
        key=match.key if evidence.sealed else "",
        queries=match.queries.digest,
        name=f"gate-{match.digest[:8]}",
        tags={"cuepoint.bundle_sha256.challenger": match.digest, "cuepoint.gate.looks": str(looks)},
    )


def collect_evidence(match: Match, sealed: Seal | UnsealedError) -> Evidence:
    """Let champion and challenger answer the queries."""
    contenders = [Contender("challenger", paths.BUNDLE, paths.INDEX, (paths.BENTO / BENTO_FILE).stat().st_size)]
    if match.champion is not None:
        bento = open_version(match.champion, paths.find_cache_dir())
        size = (paths.find_cache_dir() / "registered" / match.champion.version / BENTO_FILE).stat().st_size
        contenders.append(Contender("champion", bento / "src/data/bundle", bento / "src/data/index", size))
    media_dir = paths.RAW / load_params().corpus.name
    challenger, *rest = answer(contenders, match.questions, match.queries, media_dir=media_dir)
    note = sealed.note if isinstance(sealed, Seal) else str(sealed)
    return Evidence(match.queries, challenger, rest[0] if rest else None, isinstance(sealed, Seal), note)


def load_gate(name: str) -> GateParams:
    """Read the rules of a preset.

    Raises:
        ValueError: naming each wrong key.
    """
    path: Path = preset_path(GATE_PRESETS, name)
    params: GateParams = validate(GateParams, load_yaml(path), source=path)
    return params


def _match(digest: str, champion: ServedVersion | None) -> Match:
    params = load_gate(load_params().retrain.gate)
    return Match(digest, champion, params, *freeze(load_corpus(paths.CORPUS), params))


def _do_nothing(reason: str, version: str) -> Verdict:
    return Verdict("nothing to do", reason, f"## Nothing to do\n\n{reason}.\n", version)


def _describe_version(run: GateRun, sealed: Seal) -> dict[str, str]:
    outcome = "promoted" if run.decision["promoted"] else "rejected"
    return {
        "cuepoint.gate.outcome": outcome,
        "cuepoint.gate.reason": str(run.decision["reason"])[:2000],
        "cuepoint.gate.run_id": run.run_id,
        "cuepoint.sealed": f"{sealed.time}: {sealed.note}",
    }


def _to_json(decision: GateDecision, evidence: Evidence, looks: int) -> dict[str, Any]:
    sides = [side for side in (evidence.challenger, evidence.champion) if side is not None]
    cost = {side.name: {"latency_ms": side.latency_ms, "size_bytes": side.size_bytes} for side in sides}
    return decision.to_json() | {"cost": cost, "looks": looks, "queries": len(evidence.queries)}

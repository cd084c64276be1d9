"""Decisions of the gate: gain, guards with corrected intervals, budgets, missing figures and the seal."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.schema_files import load_yaml, validate
from evaluation.gate.comparison import Pair, bound_gain, bound_guards
from evaluation.gate.decision import GateDecision, decide
from evaluation.gate.evidence import Evidence, Frozen, Side
from evaluation.gate.markdown import describe_decision
from evaluation.gate.params import GateParams, Guard
from evaluation.tables.slices import Slice

ROOT = Path(__file__).resolve().parents[3]
NUM_VIDEOS, PER_VIDEO = 60, 4
VIDEOS = np.repeat(np.arange(NUM_VIDEOS), PER_VIDEO)
FORMS = np.arange(len(VIDEOS)) % 2 == 0
RNG = np.random.default_rng(5)
BASE = (RNG.random(len(VIDEOS)) < 0.6).astype(np.float64)


def load_gate() -> GateParams:
    path = ROOT / "presets" / "gate" / "default.yaml"
    params: GateParams = validate(GateParams, load_yaml(path), source=path)
    whole = tuple(one for one in params.guards if one.slices is None)
    form = Guard(metric="R1_iou0.5", slices="form", tolerance=0.05)
    return params.model_copy(update={"samples": 1000, "guards": (*whole, form)})


PARAMS = load_gate()


def make_queries() -> Frozen:
    slices = (Slice("form", "simple", FORMS), Slice("form", "relation", ~FORMS))
    qids = tuple(str(number) for number in range(len(VIDEOS)))
    return Frozen(qids, VIDEOS, slices, np.arange(0, len(VIDEOS), 2), "a" * 64)


def make_side(name: str, hits: Any, *, latency_ms: float | None = 20.0, size_bytes: int = 10_000_000) -> Side:
    figures = {"R1_iou0.5": hits, "R1_iou0.7": hits, "mIoU": hits}
    return Side(name, figures, latency_ms, size_bytes, {"R10": hits[::2]})


CHAMPION = make_side("champion", BASE)
BETTER = np.maximum(BASE, np.arange(len(VIDEOS)) % 5 == 0)


def judge(challenger: Side, champion: Side | None = CHAMPION, *, sealed: bool = True) -> GateDecision:
    note = "sealed" if sealed else "the run is not sealed"
    return decide(Evidence(make_queries(), challenger, champion, sealed, note), PARAMS)


def list_failed(decision: GateDecision) -> list[str]:
    return [check.rule for check in decision.checks if not check.passed]


def test_a_challenger_that_is_better_beyond_doubt_is_promoted() -> None:
    decision = judge(make_side("challenger", BETTER))
    assert decision.promoted, decision.reason
    assert decision.gain is not None
    assert decision.gain.low > 0


def test_a_tie_keeps_the_champion() -> None:
    decision = judge(make_side("challenger", BASE))
    assert not decision.promoted
    assert list_failed(decision) == ["gain"]


def test_a_better_mean_within_the_noise_keeps_the_champion() -> None:
    noisy = BASE.copy()
    noisy[np.flatnonzero(BASE == 0)[:4]] = 1.0
    noisy[np.flatnonzero(BASE == 1)[:2]] = 0.0
    decision = judge(make_side("challenger", noisy))
    assert noisy.mean() > BASE.mean()
    assert list_failed(decision) == ["gain"]


def test_better_on_the_mean_but_worse_on_a_guarded_slice_is_rejected_naming_the_slice() -> None:
    hits = np.where(FORMS, 1.0, np.where(np.arange(len(VIDEOS)) % 4 == 1, 0.0, BASE))
    decision = judge(make_side("challenger", hits))
    assert hits.mean() > BASE.mean()
    assert "guards" in list_failed(decision)
    assert "R1_iou0.5, form: relation" in decision.reason


def test_a_loss_within_the_tolerance_harms_no_guard() -> None:
    lower = BASE.copy()
    lower[np.flatnonzero(BASE == 1)[:1]] = 0.0
    assert "guards" not in list_failed(judge(make_side("challenger", lower)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("metric", ["R1_iou0.5", "mIoU"])
def test_a_figure_that_is_not_finite_is_rejected_even_without_a_champion(metric: str, value: float) -> None:
    broken = BETTER.copy()
    broken[3] = value
    side = make_side("challenger", BETTER)
    side = replace(side, figures={**side.figures, metric: broken})
    for champion in (CHAMPION, None):
        decision = judge(side, champion)
        assert not decision.promoted
        assert f"challenger has 1 values of {metric} that are not finite numbers" in decision.reason


def test_a_missing_figure_or_fewer_queries_are_rejected() -> None:
    side = make_side("challenger", BETTER)
    lacking = replace(side, figures={name: values for name, values in side.figures.items() if name != "mIoU"})
    assert "challenger has no figure mIoU" in judge(lacking).reason
    short = replace(side, figures={**side.figures, "mIoU": BETTER[:-1]})
    assert f"mIoU of {len(VIDEOS) - 1} queries, expected {len(VIDEOS)}" in judge(short).reason
    assert "challenger has no figure collection_R10" in judge(replace(side, searched={})).reason


def test_an_unsealed_run_is_rejected_with_the_reason_of_the_seal() -> None:
    decision = judge(make_side("challenger", BETTER), sealed=False)
    assert list_failed(decision) == ["sealed"]
    assert decision.reason == "the run is not sealed"


@pytest.mark.parametrize(
    ("cost", "failed"),
    [
        ({"latency_ms": 31.0}, ["latency"]),
        ({"latency_ms": 29.0}, []),
        ({"latency_ms": None}, ["latency"]),
        ({"latency_ms": float("nan")}, ["latency"]),
        ({"size_bytes": 20_000_001}, ["size"]),
    ],
)
def test_cost_beyond_the_budget_is_rejected(cost: dict[str, Any], failed: list[str]) -> None:
    assert list_failed(judge(make_side("challenger", BETTER, **cost))) == failed


def test_absolute_budgets_also_bind_the_first_bundle() -> None:
    budgets = PARAMS.budgets.model_copy(update={"max_size_mb": 5.0})
    evidence = Evidence(make_queries(), make_side("challenger", BASE), None, True, "sealed")
    assert decide(evidence, PARAMS).promoted
    assert not decide(evidence, PARAMS.model_copy(update={"budgets": budgets})).promoted


def test_slices_of_few_videos_are_named_and_not_judged() -> None:
    few = Slice("form", "rare", VIDEOS < 3)
    queries = make_queries()
    queries = replace(queries, slices=(*queries.slices, few))
    decision = decide(Evidence(queries, make_side("challenger", BETTER), CHAMPION, True, "sealed"), PARAMS)
    assert decision.skipped == ("R1_iou0.5, form: rare",)
    assert decision.promoted


def test_a_guard_of_unknown_slices_is_rejected_naming_the_known_ones() -> None:
    guard = PARAMS.guards[0].model_copy(update={"slices": "colour"})
    evidence = Evidence(make_queries(), make_side("challenger", BETTER), CHAMPION, True, "sealed")
    decision = decide(evidence, PARAMS.model_copy(update={"guards": (guard,)}))
    assert "the split has no slices 'colour'; known: form" in decision.reason


def test_the_intervals_of_guards_widen_with_their_number_as_students_t_says() -> None:
    pair = Pair("one", BETTER, BASE, VIDEOS)
    (alone,) = bound_guards([pair], confidence=0.95, num_samples=4000, seed=1)
    many = bound_guards([pair] * 10, confidence=0.95, num_samples=4000, seed=1)
    per_video = (BETTER - BASE).reshape(NUM_VIDEOS, PER_VIDEO).mean(axis=1)
    error = per_video.std() / np.sqrt(NUM_VIDEOS)
    for found, quantile in ((alone, 2.001), (many[0], 2.916)):  # t with 59 degrees of freedom at 0.975 and 0.9975
        assert (found.high - found.low) / 2 == pytest.approx(quantile * error, rel=0.05)


def test_the_bound_of_the_gain_is_the_quantile_of_resampled_videos() -> None:
    found = bound_gain(Pair("one", BETTER, BASE, VIDEOS), confidence=0.95, num_samples=4000, seed=1)
    per_video = (BETTER - BASE).reshape(NUM_VIDEOS, PER_VIDEO).mean(axis=1)
    rng = np.random.default_rng(3)
    means = [per_video[rng.integers(NUM_VIDEOS, size=NUM_VIDEOS)].mean() for _ in range(4000)]
    assert found.low == pytest.approx(float(np.quantile(means, 0.05)), abs=0.004)


def test_the_markdown_names_outcome_figures_and_looks() -> None:
    evidence = Evidence(make_queries(), make_side("challenger", BETTER), CHAMPION, True, "sealed")
    page = describe_decision(decide(evidence, PARAMS), evidence, looks=3)
    assert page.startswith("## Promoted: challenger")
    assert "| R1_iou0.5 |" in page
    assert "looked at 3 times" in page
    first = Evidence(make_queries(), make_side("challenger", BASE), None, True, "sealed")
    assert "There was no champion" in describe_decision(decide(first, PARAMS), first, looks=1)

"""Scoring benchmark: its loops give the figures of scoring, within the memory limit of tests/benchmarks/scoring.md."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from models.metrics.spans import PaddedSpans

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "benchmarks" / "scoring.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scoring_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("smooth", [False, True])
def test_the_loops_of_the_benchmark_give_the_figures_of_scoring(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, smooth: bool
) -> None:
    monkeypatch.setattr(benchmark, "NUM_QUERIES", 60)
    candidates, truth = benchmark.draw_queries(np.random.default_rng(0), smooth=smooth)
    ours, rows = benchmark.score_at_once(candidates, truth), np.arange(0, 60, 3)
    part, part_truth = candidates.take(rows), PaddedSpans(truth.spans[rows], truth.mask[rows])
    for name, loop in benchmark.LOOPS.items():
        benchmark.require_equal(ours, loop(part, part_truth), rows, name)


@pytest.mark.slow
def test_a_split_is_scored_within_one_gibibyte(benchmark: ModuleType) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--memory"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < benchmark.LIMIT_BYTES

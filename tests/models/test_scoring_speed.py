"""Scoring keeps the limits that tests/benchmarks/scoring.md states."""

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


@pytest.mark.slow
@pytest.mark.parametrize("smooth", [False, True])
def test_a_split_is_scored_fifty_times_faster_than_by_a_python_loop(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, smooth: bool
) -> None:
    monkeypatch.setattr(benchmark, "NUM_QUERIES", 3000)
    candidates, truth = benchmark.draw_queries(np.random.default_rng(0), smooth=smooth)
    rows = np.arange(0, 3000, 20)
    part, part_truth = candidates.take(rows), PaddedSpans(truth.spans[rows], truth.mask[rows])
    ratios = []
    for _ in range(3):
        ours, ours_s = benchmark.time_call(benchmark.score_at_once, candidates, truth)
        for name, loop in benchmark.LOOPS.items():
            figures, loop_s = benchmark.time_call(loop, part, part_truth)
            benchmark.require_equal(ours, figures, rows, name)
            if loop is benchmark.score_with_lists:
                ratios.append(loop_s * len(candidates.scores) / len(rows) / ours_s)
    assert max(ratios) >= benchmark.LIMIT_RATIO


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

"""Made-up records of a bench."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from corpus.moments import Floats
from evaluation.tables.scores import flatten_estimates
from flows.bench.arms import Arm
from flows.bench.records import Latency, Record, Scores, TrackedAt, TrainingCost, describe_arm, pack_iou, pack_videos
from models.metrics.intervals import estimate_means

VIDEOS = np.repeat(np.arange(12), 4)
MakeRecord = Callable[..., Record]


def make_scores(iou: Floats, others: dict[str, Any] | None = None) -> Scores:
    figures = {"R1_iou0.5": iou > 0.5, "R1_iou0.7": iou > 0.7, "mIoU": iou}
    estimates = estimate_means({name: part.astype(float) for name, part in figures.items()}, VIDEOS, num_samples=50, seed=0)
    return Scores(
        split="test",
        queries=len(iou),
        videos=12,
        figures=flatten_estimates(estimates),
        others=others or {},
        first_iou=pack_iou(iou),
        video_index=pack_videos(VIDEOS),
    )


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """Return a function that makes the record of an arm from the overlaps of its first answers, or from a failure."""

    def make(arm: Arm | Any, iou: Floats | None = None, *, reason: str = "", **values: Any) -> Record:
        same = {
            "key": "0" * 16,
            "commit": "abcdef1",
            "machine": "2 cores",
            "corpus": "shapes",
            "dataset": "d" * 16,
            "wall_s": 50.0,
        }
        same |= describe_arm(arm)
        if iou is None:
            return Record(**(same | {"status": "cut", "reason": reason} | values))
        floor = {
            name: {"R1_iou0.5": 0.1, "R1_iou0.7": 0.0, "mIoU": 0.1} for name in ("prior", "whole_video", "chance", "shuffled")
        }
        found = {"videos": 12.0, "R1": 0.1, "R10": 0.5, "median_rank": 9.0, "chance_R1": 0.01, "chance_R10": 0.1}
        done: dict[str, Any] = {
            "status": "done",
            "parameters": 1234,
            "training": TrainingCost(wall_s=40.0, cpu_s=60.0, threads=2, epochs=6, best_epoch=3, resumed=False),
            "scores": make_scores(iou, {**floor, "collection": found}),
            "latency": (Latency(what="a video and a sentence", threads=1, median_ms=2.5, cpu_share=0.99),),
            "run": TrackedAt(experiment_id="1", run_id="f" * 32),
        }
        return Record(**(same | done | values))

    return make

"""Measurements of a trained arm: figures, size and latency, by its group."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flows.bench.arms import Arm, Group
from flows.bench.latency import time_localizer, time_retriever
from flows.bench.records import Latency, Scores
from flows.bench.scoring import Examination, score_floor, score_localizer, score_retriever
from models.artefacts.checkpoint import load_blind, load_localizer, load_retriever

_LOADERS: Mapping[str, Callable[[Path], Any]] = {
    "localizer": load_localizer,
    "retriever": load_retriever,
    "blind": load_blind,
}
_SCORERS: Mapping[Group, Callable[[Any, Examination], Scores]] = {
    "localizer": score_localizer,
    "loss": score_localizer,
    "retriever": score_retriever,
    "floor": score_floor,
}


class Measured(NamedTuple):
    """Figures, size and latency of a trained arm."""

    parameters: int
    scores: Scores
    latency: tuple[Latency, ...]

    def list_metrics(self) -> dict[str, float]:
        """Return everything as metrics of a tracked run."""
        split = self.scores.split
        groups = {split: self.scores.figures} | {f"{split}/{name}": group for name, group in self.scores.others.items()}
        metrics = {f"{group}/{name}": value for group, figures in groups.items() for name, value in figures.items()}
        times = {f"latency_ms/{one.what.replace(' ', '_')}/threads_{one.threads}": one.median_ms for one in self.latency}
        found = {name: float(value) for name, value in metrics.items() if value is not None}
        return {**found, **times, "parameters": float(self.parameters)}


def measure_arm(arm: Arm, checkpoint: Path, exam: Examination) -> Measured:
    """Load a trained arm and measure it; latency is measured only when the arm runs alone on the machine."""
    model, _ = _LOADERS[arm.plan.role](checkpoint)
    scores = _SCORERS[arm.group](model, exam)
    latency: tuple[Latency, ...] = ()
    if arm.is_timed:
        latency = time_retriever(model, exam) if arm.group == "retriever" else time_localizer(model, exam)
    return Measured(sum(weight.numel() for weight in model.parameters()), scores, latency)

"""The pretraining loop: epochs over videos, an average of the weights, and a state after every epoch to go on from."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from models.objectives.base import ClipBatch, Objective, ObjectiveStep, Schedule
from models.objectives.clips import LoadClips, PretrainingVideo, build_batch

_VALIDATION_STREAM = 1  # second word of the seed of validation batches; epochs of training use 0


class FitState(TypedDict):
    """Everything a later process needs to go on after `epoch` epochs; tensors, numbers and strings only."""

    epoch: int
    objective: dict[str, Any]
    average: dict[str, Any]
    optimizer: dict[str, Any]
    curves: list[dict[str, float]]


class ObjectiveFit:
    """One objective in training: `run_epoch` until `epoch` equals `num_epochs`; `average` holds the weights to keep."""

    def __init__(
        self,
        objective: Objective,
        schedule: Schedule,
        videos: Sequence[PretrainingVideo],
        *,
        load_clips: LoadClips,
        seed: int,
    ) -> None:
        """Prepare the optimiser. The videos must be the same, in the same order, in a process that resumes."""
        self.objective, self.schedule, self.videos = objective, schedule, list(videos)
        self.load_clips, self.seed = load_clips, seed
        self.epoch = 0
        self.curves: list[dict[str, float]] = []
        self.num_epochs = schedule.count_epochs(len(self.videos))
        self.steps_per_epoch = schedule.count_steps_per_epoch(len(self.videos))
        self.optimizer = torch.optim.AdamW(objective.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
        self._average = AveragedModel(objective, avg_fn=_build_average(schedule.ema_decay))

    @property
    def average(self) -> Objective:
        """The objective with averaged weights."""
        module = self._average.module
        assert isinstance(module, Objective)
        return module

    def run_epoch(self, on_step: Callable[[], object]) -> dict[str, float]:
        """Visit every video once and return the epoch's mean figures."""
        torch.manual_seed(self.seed + self.epoch)
        generator = np.random.default_rng([self.seed, 0, self.epoch])
        order = generator.permutation(len(self.videos))
        self.objective.train()
        figures = []
        for number, batch in enumerate(self._iterate_batches([self.videos[index] for index in order], generator)):
            figures.append(self._take_step(self.epoch * self.steps_per_epoch + number, batch, generator))
            on_step()
        self.epoch += 1
        means = average_figures(figures)
        self.curves.append({"step": self.epoch * self.steps_per_epoch, "epoch": self.epoch, **means})
        return means

    def _iterate_batches(self, videos: Sequence[PretrainingVideo], generator: np.random.Generator) -> Iterator[ClipBatch]:
        return iterate_batches(videos, self.schedule, load_clips=self.load_clips, generator=generator)

    def _take_step(self, step: int, batch: ClipBatch, generator: np.random.Generator) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = compute_learning_rate(self.schedule, step, self.num_epochs * self.steps_per_epoch)
        result = self.objective(batch, generator)
        if not torch.isfinite(result.loss):
            raise ValueError(
                f"the pretraining loss is {result.loss.item()} at step {step}; lower the learning_rate of the objective"
            )
        self.optimizer.zero_grad(set_to_none=True)
        result.loss.backward()
        self.optimizer.step()
        self._average.update_parameters(self.objective)
        return read_figures(result)

    def get_state(self) -> FitState:
        """Return the state after the last whole epoch."""
        return FitState(
            epoch=self.epoch,
            objective=self.objective.state_dict(),
            average=self._average.state_dict(),
            optimizer=self.optimizer.state_dict(),
            curves=copy.deepcopy(self.curves),
        )

    def set_state(self, state: FitState) -> None:
        """Go on from a state of the same fit."""
        self.epoch, self.curves = state["epoch"], state["curves"]
        self.objective.load_state_dict(state["objective"])
        self._average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def _build_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    def average(averaged: Tensor, current: Tensor, num_averaged: Tensor | int) -> Tensor:
        """Follow the first steps closely: an average of few steps must not hold on to the first weights."""
        steps = int(num_averaged)
        return averaged.lerp(current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return average


def iterate_batches(
    videos: Sequence[PretrainingVideo], schedule: Schedule, *, load_clips: LoadClips, generator: np.random.Generator
) -> Iterator[ClipBatch]:
    """Yield batches over the videos in their order."""
    for start in range(0, len(videos), schedule.videos_per_batch):
        part = videos[start : start + schedule.videos_per_batch]
        yield build_batch(part, load_clips, clips_per_video=schedule.clips_per_video, generator=generator)


@torch.no_grad()
def measure_objective(
    objective: Objective, videos: Sequence[PretrainingVideo], schedule: Schedule, *, load_clips: LoadClips, seed: int
) -> dict[str, float]:
    """Return the mean figures over one pass of the videos, in evaluation mode; empty without videos."""
    objective.eval()
    generator = np.random.default_rng([seed, _VALIDATION_STREAM])
    batches = iterate_batches(videos, schedule, load_clips=load_clips, generator=generator)
    return average_figures([read_figures(objective(batch, generator)) for batch in batches])


def compute_learning_rate(schedule: Schedule, step: int, num_steps: int) -> float:
    """Return the rate of a step from 0: a linear warm-up, then a cosine that ends at zero after the last step."""
    warmup_steps = int(schedule.warmup_share * num_steps)
    if step < warmup_steps:
        return schedule.learning_rate * (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    return schedule.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def read_figures(result: ObjectiveStep) -> dict[str, float]:
    """Return the loss and the figures of a step as numbers."""
    return {"loss": result.loss.item(), **{name: value.item() for name, value in result.figures.items()}}


def average_figures(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of every figure over the rows that have it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}

"""Learning-rate schedules: shares by hand, agreement with torch, and round trips of the state."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from models.schedules import ScheduleParams
from models.schedules.base import Course, RateScheduler, RateShare

COURSE = Course(num_steps=100, num_warmup=10, metric="val/mIoU")
NAMES = ("constant", "cosine", "plateau", "step")


def build(course: Course = COURSE, **values: Any) -> RateShare:
    share: RateShare = TypeAdapter(ScheduleParams).validate_python(values).build(course)
    return share


def build_scheduler(share: RateShare, *rates: float) -> RateScheduler:
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates]
    return RateScheduler(torch.optim.SGD(groups, lr=0.1), share)


@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_warms_up_from_above_0_to_the_full_rate(name: str) -> None:
    share = build(name=name)
    assert [share(step) for step in range(10)] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert share(10) == 1


@pytest.mark.parametrize("name", NAMES)
def test_without_warmup_every_schedule_starts_at_the_full_rate(name: str) -> None:
    assert build(COURSE._replace(num_warmup=0), name=name)(0) == 1


def test_the_cosine_falls_to_0() -> None:
    share = build(name="cosine")
    assert share(55) == pytest.approx(0.5)
    assert share(100) == share(120) == pytest.approx(0)


def test_the_constant_rate_stays() -> None:
    assert build(name="constant")(99) == 1


def test_the_staircase_falls_every_few_epochs_however_many_steps_they_have() -> None:
    share = build(name="step", every_epochs=2, factor=0.5)
    shares = []
    for step in (20, 21, 50, 51, 90):
        shares.append(share(step))
        share.end_epoch({})
    assert shares == [1, 1, 0.5, 0.5, 0.25]


def test_the_plateau_falls_after_more_epochs_without_improvement_than_its_patience() -> None:
    share = build(name="plateau", factor=0.5, patience_epochs=1, min_improvement=0.0)
    found = []
    for value in (0.1, 0.2, 0.2, 0.15, 0.2, 0.3, 0.1, 0.1):
        share.end_epoch({"val/mIoU": value})
        found.append(share(50))
    assert found == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(("monitor", "mode", "column"), [("metric", "max", "val/mIoU"), ("validation_loss", "min", "val/loss")])
@pytest.mark.parametrize("patience", [0, 3])
def test_the_plateau_falls_where_torchs_does(monitor: str, mode: Any, column: str, patience: int) -> None:
    figures = np.random.default_rng(patience).uniform(0.5, 1.5, size=60)
    share = build(name="plateau", monitor=monitor, factor=0.8, patience_epochs=patience, min_improvement=0.05)
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.8, patience=patience, threshold=0.05, eps=0)
    for figure in figures.tolist():
        share.end_epoch({column: figure})
        reference.step(figure)
        assert share(50) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_the_plateau_does_not_fall_below_its_smallest_share() -> None:
    share = build(name="plateau", monitor="train_loss", factor=0.1, patience_epochs=0, min_share=0.05)
    for _ in range(5):
        share.end_epoch({"train/loss": 1.0})
    assert share(50) == 0.05


def test_all_groups_follow_the_schedule_at_once_when_an_epoch_ends() -> None:
    scheduler = build_scheduler(build(COURSE._replace(num_warmup=0), name="step", every_epochs=1, factor=0.5), 0.2, 0.01)
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == [0.2, 0.01]
    scheduler.end_epoch({})
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == [0.1, 0.005]
    scheduler.optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == [0.1, 0.005]


@pytest.mark.parametrize("name", NAMES)
def test_the_state_of_a_schedule_survives_a_round_trip(name: str) -> None:
    values = {"name": name, **({"patience_epochs": 0} if name == "plateau" else {"every_epochs": 1} if name == "step" else {})}
    first, second = (build_scheduler(build(**values), 0.1) for _ in range(2))
    first.optimizer.step()
    for _ in range(3):
        first.end_epoch({"val/mIoU": 0.5})
    second.load_state_dict(first.state_dict())
    assert vars(second.lr_lambdas[0]) == vars(first.lr_lambdas[0])
    assert all(isinstance(value, int | float | str) for value in vars(first.lr_lambdas[0]).values())

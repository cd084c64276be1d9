"""Training choices: resuming with every optimizer and schedule, accumulation, precision, watched figures, loss groups."""

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.contracts.batches import LossDims
from models.losses.base import LearnedTermParams, LossTerm
from models.training.fitting import fit
from pipeline.training.inputs import TrainInputs
from pipeline.training.role_training import train
from pipeline.training.roles import TrainPlan, build_module
from small_training import (
    load_inputs,
    make_corpus,
    make_plan,
    read_outputs,
    replace_training,
    train_in_two_parts,
    write_inputs,
)
from stages.train import main

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adamw": {"learning_rate": 0.01},
    "sgd": {"learning_rate": 0.01, "nesterov": True},
    "sps": {"max_step": 0.1},
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "cosine": {},
    "plateau": {"patience_epochs": 0, "min_improvement": 10.0, "monitor": "validation_loss"},
    "step": {"every_epochs": 1, "factor": 0.5},
}
QUICK = {("adamw", "plateau"), ("sps", "step")}
PAIRS = [
    pytest.param(optimizer, schedule, marks=[] if (optimizer, schedule) in QUICK else pytest.mark.slow)
    for optimizer in OPTIMIZERS
    for schedule in SCHEDULES
]


class Offset(LossTerm):
    """The squared distance of the best score from a learned number."""

    inputs = ("scores",)

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(()))

    def forward(self, scores: Tensor) -> Tensor:
        return (scores.amax(1) - 1 - self.number).square().mean()

    def collect_report(self) -> dict[str, float]:
        return {"number": self.number.item()}


class OffsetParams(LearnedTermParams):
    name: Literal["offset"] = "offset"

    def build(self, dims: LossDims) -> Offset:
        return Offset()


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("CUEPOINT_DEVICE", "cpu")


@pytest.fixture
def inputs(tmp_path: Path) -> TrainInputs:
    write_inputs(tmp_path, make_corpus())
    return load_inputs(tmp_path)


def choose(plan: TrainPlan, optimizer: str, schedule: str, **values: Any) -> TrainPlan:
    return replace_training(
        plan,
        optimizer={"name": optimizer, **OPTIMIZERS[optimizer]},
        schedule={"name": schedule, **SCHEDULES[schedule]},
        gradient_clip_norm=None if optimizer == "sps" else 10.0,
        **values,
    )


def add_offset(plan: TrainPlan) -> TrainPlan:
    return replace(plan, chosen=replace(plan.chosen, losses=(*plan.chosen.losses, OffsetParams())))


def require_equal_when_resumed(plan: TrainPlan, inputs: TrainInputs, folder: Path) -> None:
    train(plan, inputs, out_dir=folder / "whole", state_dir=folder / "state-whole")
    train_in_two_parts(plan, inputs, folder)
    assert read_outputs(folder / "resumed") == read_outputs(folder / "whole")


def read_curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("optimizer", "schedule"), PAIRS)
def test_a_stopped_training_ends_with_the_same_bytes(optimizer: str, schedule: str, inputs: TrainInputs, tmp_path: Path) -> None:
    plan = choose(make_plan("blind", max_epochs=4), optimizer, schedule)
    require_equal_when_resumed(plan, inputs, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"accumulate_batches": 2},
        pytest.param({"precision": "bf16-mixed"}, marks=pytest.mark.needs_precision("bf16-mixed")),
        {"videos_per_batch": 4},
    ],
    ids=str,
)
def test_a_stopped_training_with_other_batches_or_precision_ends_with_the_same_bytes(
    values: dict[str, Any], inputs: TrainInputs, tmp_path: Path
) -> None:
    plan = choose(make_plan("blind", max_epochs=4), "adamw", "cosine", batch_size=5, **values)
    require_equal_when_resumed(plan, inputs, tmp_path)


def test_parameters_of_losses_follow_the_schedule_and_are_resumed(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = add_offset(choose(make_plan("blind", max_epochs=4), "sgd", "step"))
    require_equal_when_resumed(plan, inputs, tmp_path)
    numbers = [float(row["train/offset/number"]) for row in read_curve(tmp_path / "whole")]
    moves = [abs(after - before) for before, after in zip([0.0, *numbers], numbers, strict=False)]
    assert min(moves) > 0
    module = build_module(plan, inputs)
    fit(module, state_dir=tmp_path / "state", device=torch.device("cpu"))
    optimizer = module.trainer.optimizers[0]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01 / 16, 0.01 / 16, 0.01 / 16])


def test_accumulated_batches_make_the_step_of_one_large_batch_the_last_short_group_too(
    inputs: TrainInputs, tmp_path: Path
) -> None:
    plan = choose(make_plan("localizer", max_epochs=2), "sgd", "cosine", ema_decay=0.9)
    plans = {"large": replace_training(plan, batch_size=10), "small": replace_training(plan, batch_size=5, accumulate_batches=2)}
    for name, one in plans.items():
        train(one, inputs, out_dir=tmp_path / name, state_dir=tmp_path / f"state-{name}")
    large, small = (load_file(tmp_path / name / "weights.safetensors") for name in plans)
    untrained = build_module(plan, inputs).model.state_dict()
    for name, weight in large.items():
        torch.testing.assert_close(small[name], weight, atol=1e-6, rtol=1e-5)
    assert any(not torch.equal(large[name], weight) for name, weight in untrained.items())


def test_the_schedule_counts_optimizer_steps(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = choose(make_plan("blind", max_epochs=2), "sgd", "cosine", batch_size=5, accumulate_batches=2)
    module = build_module(plan, inputs)
    fit(module, state_dir=tmp_path / "state", device=torch.device("cpu"))
    assert module.trainer.global_step == 2 * 3  # 24 queries: five batches, three groups an epoch
    assert module.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0)


def test_a_plateau_on_the_validation_loss_adds_it_to_the_curve(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = choose(make_plan("retriever", max_epochs=2), "adamw", "plateau")
    result = train(plan, inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert all(row["val/loss"] > 0 for row in result.curve)


def test_a_plateau_on_the_validation_loss_is_refused_with_trainable_losses(inputs: TrainInputs) -> None:
    plan = add_offset(choose(make_plan("blind"), "adamw", "plateau"))
    with pytest.raises(ValueError, match="'plateau' watches the validation loss, but a loss learns classes .* set training"):
        build_module(plan, inputs)


def test_a_plateau_without_validation_queries_is_refused(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_corpus(num_validation=0))
    plan = replace_training(make_plan("blind"), schedule={"name": "plateau"})
    with (
        pytest.warns(UserWarning, match="no query in the split 'val'"),
        pytest.raises(
            ValueError, match="'plateau' watches the validation split, but .* set training.schedule.monitor to train_loss"
        ),
    ):
        build_module(plan, load_inputs(tmp_path))


@pytest.mark.needs_precision("bf16-mixed")
@pytest.mark.parametrize("role", ["retriever", "localizer", "blind"])
def test_mixed_precision_trains_close_to_single_precision(role: str, inputs: TrainInputs, tmp_path: Path) -> None:
    plan = make_plan(role, max_epochs=1)
    for name, one in (("single", plan), ("mixed", replace_training(plan, precision="bf16-mixed"))):
        train(one, inputs, out_dir=tmp_path / name, state_dir=tmp_path / f"state-{name}")
    single, mixed = (float(read_curve(tmp_path / name)[0]["train/loss"]) for name in ("single", "mixed"))
    assert mixed != single
    assert mixed == pytest.approx(single, rel=0.05)
    assert all(weight.dtype == torch.float32 for weight in load_file(tmp_path / "mixed" / "weights.safetensors").values())


def test_16_bits_without_a_gpu_are_refused(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = replace_training(make_plan("blind"), precision="16-mixed")
    with pytest.raises(
        ValueError,
        match="^cpu .* training.precision = 16-mixed: .* a CUDA device; set training.precision to 32",
    ):
        train(plan, inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")


def test_the_stage_refuses_a_precision_before_it_reads_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pipeline.training.roles.load_plan", lambda role, *_: replace_training(make_plan(role), precision="16-mixed")
    )
    monkeypatch.setattr("pipeline.executors.machine.prepare_torch", lambda _: None)
    monkeypatch.setattr("pipeline.paths.CORPUS", tmp_path / "nowhere")
    monkeypatch.setattr(sys, "argv", ["train", "blind"])
    with pytest.raises(ValueError, match="^cpu .* cannot train with training.precision = 16-mixed"):
        main()


def test_the_loss_that_sps_reads_is_that_of_its_gradients(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = choose(make_plan("localizer", max_epochs=3), "sps", "constant")
    result = train(plan, inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert result.curve[-1]["train/loss"] < result.curve[0]["train/loss"]

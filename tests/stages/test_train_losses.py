"""Whole trainings with losses that change over the epochs or draw random numbers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.losses.intra_inter_margin import IntraInterMarginParams
from models.losses.mil_nce_angular import MILNCEAngularLoss, MILNCEAngularParams
from pipeline.training.inputs import TrainInputs
from pipeline.training.role_training import train
from pipeline.training.roles import TrainPlan
from small_training import load_inputs, make_corpus, make_plan, read_outputs, train_in_two_parts, write_inputs


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("CUEPOINT_DEVICE", "cpu")


@pytest.fixture
def inputs(tmp_path: Path) -> TrainInputs:
    write_inputs(tmp_path, make_corpus())
    return load_inputs(tmp_path)


def make_changing_plan(*, max_epochs: int) -> TrainPlan:
    """Return a plan with an angular term that grows over three epochs, and with drawn negatives."""
    plan = make_plan("localizer", max_epochs=max_epochs)
    losses = (
        MILNCEAngularParams(name="mil_nce_angular", ramp_epochs=3.0),
        IntraInterMarginParams(name="intra_inter_margin", negatives="drawn"),
    )
    return replace(plan, chosen=replace(plan.chosen, losses=losses))


def test_terms_read_the_epochs_done_with_the_share_of_the_present_one(
    inputs: TrainInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []

    def record(_: MILNCEAngularLoss, epoch: float) -> float:
        epochs.append(epoch)
        return 0.0

    monkeypatch.setattr(MILNCEAngularLoss, "compute_angular_weight", record)
    train(make_changing_plan(max_epochs=2), inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert epochs == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])  # 24 queries in batches of 8


def test_a_training_with_a_ramp_and_drawn_negatives_resumes_to_the_same_bytes(inputs: TrainInputs, tmp_path: Path) -> None:
    plan = make_changing_plan(max_epochs=4)
    train(plan, inputs, out_dir=tmp_path / "whole", state_dir=tmp_path / "state-whole")
    train_in_two_parts(plan, inputs, tmp_path)
    assert read_outputs(tmp_path / "resumed") == read_outputs(tmp_path / "whole")

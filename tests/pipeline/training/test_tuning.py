"""Tuning of roles without losses: the validation split chooses, the choice is recorded and comes out the same again."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from corpus.records import Corpus
from models.artefacts.checkpoint import load_localizer, load_retriever
from models.localizers.readouts.readout_window_contrast import WindowContrastParams
from models.retrievers.shared_space import SharedSpaceParams
from pipeline.components.trained import TrainedComponent
from pipeline.components.trained import load_localizer as load_preset
from pipeline.training.role_training import train, train_tracked
from pipeline.training.roles import TrainPlan
from pipeline.training.tuning import find_best, tune
from small_training import load_inputs, make_corpus, read_outputs, write_inputs

TUNING = {"exponent": [0.0, 0.4, 0.8], "max_cells": [2, 8]}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("CUEPOINT_DEVICE", "cpu")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setattr("pipeline.tracking.tracked_run._DRAIN_S", 600.0)


def make_plan(tuning: dict[str, list[Any]] | None = None) -> TrainPlan:
    component = WindowContrastParams(name="readout_window_contrast", num_cells=16, exponent=0.3)
    return TrainPlan("localizer", TrainedComponent(component, (), None, TUNING if tuning is None else tuning), 0)


def prepare(folder: Path, corpus: Corpus | None = None) -> Any:
    write_inputs(folder, corpus or make_corpus())
    return load_inputs(folder)


def read_table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "tuning.csv").read_text().splitlines()))


def test_the_best_combination_on_validation_is_in_the_checkpoint(tmp_path: Path) -> None:
    inputs = prepare(tmp_path)
    train(make_plan(), inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    rows = read_table(tmp_path / "out")
    assert [(float(row["exponent"]), int(row["max_cells"])) for row in rows] == [
        (exponent, cells) for exponent in TUNING["exponent"] for cells in TUNING["max_cells"]
    ]
    best = max(rows, key=lambda row: float(row["val/mIoU"]))
    model, config = load_localizer(tmp_path / "out")
    assert (config.component["exponent"], config.component["max_cells"]) == (float(best["exponent"]), int(best["max_cells"]))
    assert (model.params.exponent, model.params.max_cells) == (float(best["exponent"]), int(best["max_cells"]))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["val/mIoU"] == float(best["val/mIoU"])
    assert (metrics["best_combination"], metrics["combinations"]) == (int(best["combination"]), 6)


def test_each_row_of_the_table_is_what_that_component_alone_reaches(tmp_path: Path) -> None:
    inputs = prepare(tmp_path)
    _, _, table = tune(make_plan(), inputs)
    for row in table:
        values = {name: [row[name]] for name in TUNING}
        assert tune(make_plan(values), inputs).result.best["val/mIoU"] == row["val/mIoU"]


def test_the_test_split_is_not_read_and_training_queries_do_not_matter(tmp_path: Path) -> None:
    corpus = make_corpus()
    others = [query for query in corpus.queries if query.split == "train"][:1]
    fewer = Corpus(corpus.videos, (*others, *(query for query in corpus.queries if query.split == "val")))
    assert tune(make_plan(), prepare(tmp_path / "a", corpus)) == tune(make_plan(), prepare(tmp_path / "b", fewer))


def test_tuning_twice_gives_the_same_bytes_whatever_the_seed(tmp_path: Path) -> None:
    inputs = prepare(tmp_path)
    for name, seed in (("a", 0), ("b", 1)):
        train(replace(make_plan(), seed=seed), inputs, out_dir=tmp_path / name, state_dir=tmp_path / "state")
    assert read_outputs(tmp_path / "a") == read_outputs(tmp_path / "b")


def test_of_equal_combinations_the_first_is_taken() -> None:
    assert find_best([{"m": 0.1}, {"m": 0.3}, {"m": 0.3}], "m") == 1


def test_without_validation_queries_the_values_of_the_preset_stay(tmp_path: Path) -> None:
    inputs = prepare(tmp_path, make_corpus(num_validation=0))
    with pytest.warns(UserWarning, match="no query in the split 'val': the preset's own values are kept"):
        train(make_plan(), inputs, out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert load_localizer(tmp_path / "out")[1].component["exponent"] == 0.3
    assert read_table(tmp_path / "out") == []


def test_a_component_without_anything_to_choose_is_written_as_it_is(tmp_path: Path) -> None:
    train(make_plan({}), prepare(tmp_path), out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    assert load_localizer(tmp_path / "out")[1].component["exponent"] == 0.3
    assert not (tmp_path / "out" / "tuning.csv").exists()


def test_a_retriever_is_tuned_by_searching_the_validation_videos(tmp_path: Path) -> None:
    chosen = TrainedComponent(SharedSpaceParams(name="shared_space"), (), None, {"pooling": ["mean", "max"]})
    train(TrainPlan("retriever", chosen, 0), prepare(tmp_path), out_dir=tmp_path / "out", state_dir=tmp_path / "state")
    best = max(read_table(tmp_path / "out"), key=lambda row: float(row["val/recall"]))
    assert load_retriever(tmp_path / "out")[1].component["pooling"] == best["pooling"]


@pytest.mark.slow
def test_a_tuning_is_a_tracked_run_that_leaves_no_state(tmp_path: Path) -> None:
    train_tracked(make_plan(), prepare(tmp_path), out_dir=tmp_path / "out", cache_dir=tmp_path / "cache", tags={})
    assert json.loads((tmp_path / "out" / "run.json").read_text())["run_id"]
    assert list((tmp_path / "cache" / "training").iterdir()) == []


PRESET = "name: readout_window_contrast\nnum_cells: 16\n"


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            "tuning: {num_cells: [8, 16]}",
            "tuning.num_cells decides which features are loaded, so it cannot be tuned",
        ),
        ("tuning: {exponent: []}", "tuning.exponent is empty; give values to choose from, or remove it"),
        ("tuning: {exponent: [-1.0]}", "exponent = -1.0: Input should be greater than or equal to 0"),
        ("tuning: {power: [1.0]}", "unknown key .*power = 1.0; known: "),
        ("tuning: {exponent: 0.5}", "tuning.exponent = 0.5: Input should be a valid list"),
        (
            "tuning: {exponent: [0.5]}\nlosses: [{name: iou_bce}]",
            "tuning chooses values of a component without losses, but",
        ),
    ],
)
def test_a_wrong_choice_is_named(added: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "presets" / "localizer" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"{PRESET}{added}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_preset("mine")

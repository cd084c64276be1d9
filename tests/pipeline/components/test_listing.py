"""Listing of components: `--help` names every component, and the error of an unknown name lists the known names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.components import loading as components
from pipeline.components import trained as trained_components
from pipeline.components.listing import SLOTS, describe_slots, list_components
from pipeline.components.presets import preset_path
from pipeline.entry import run_stage

ROOT = Path(__file__).resolve().parents[3]
TRAINED = ("retriever", "localizer", "blind")
FOLDERS = {  # of slots whose components lie in folders of families
    "encoder": ("models.encoders.video", "models.encoders.audio"),
    "localizer": ("models.localizers", "models.localizers.readouts"),
}


def write_preset(folder: Path, **values: object) -> None:
    """Write the preset of 2D-TAN, with some values replaced, into a folder."""
    content = yaml.safe_load((ROOT / preset_path("localizer", "tan2d")).read_text(encoding="utf-8"))
    training = content["training"] | values.pop("training", {})  # type: ignore[operator]
    path = folder / preset_path("localizer", "tan2d")
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(content | values | {"training": training}), encoding="utf-8")


def explain(folder: Path, monkeypatch: pytest.MonkeyPatch, **values: object) -> str:
    """Return the error for the preset of 2D-TAN with some values replaced."""
    write_preset(folder, **values)
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="presets") as caught:
        trained_components.load_localizer("tan2d")
    return str(caught.value).removeprefix("presets/localizer/tan2d.yaml: ")


@pytest.mark.parametrize("slot", SLOTS)
def test_the_description_of_a_slot_names_every_component_with_a_sentence(slot: str) -> None:
    head, *rows = describe_slots([slot]).splitlines()
    assert head.startswith(f"{slot} (")
    assert [row.split()[0] for row in rows] == list(list_components(slot))
    assert all(re.fullmatch(r"  \w+ +\S.{15,}", row) for row in rows)


@pytest.mark.parametrize("slot", SLOTS)
def test_every_component_of_a_slot_is_in_the_file_or_folder_of_its_name(slot: str) -> None:
    for name, schema in list_components(slot).items():
        folder, _, file = schema.__module__.removesuffix(".params").rpartition(".")
        assert file == name
        assert folder in FOLDERS.get(slot, (SLOTS[slot].module,))


@pytest.mark.parametrize(
    ("values", "key", "slot"),
    [
        ({"losses": [{"name": "scaled_iou_bc"}]}, "losses.0.name = 'scaled_iou_bc'", "loss"),
        ({"training": {"optimizer": {"name": "lion", "learning_rate": 0.1}}}, "training.optimizer.name = 'lion'", "optimizer"),
        ({"training": {"schedule": {"name": "linear"}}}, "training.schedule.name = 'linear'", "schedule"),
    ],
)
def test_an_unknown_name_in_a_preset_is_answered_with_the_known_ones(
    values: dict[str, object], key: str, slot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"{key} is unknown; known: {', '.join(list_components(slot))}"
    assert explain(tmp_path, monkeypatch, **values) == expected


@pytest.mark.parametrize(
    ("values", "key"), [({"losses": [{}]}, "losses.0"), ({"training": {"schedule": {}}}, "training.schedule")]
)
def test_a_missing_name_is_answered_with_the_known_ones(
    values: dict[str, object], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert explain(tmp_path, monkeypatch, **values).startswith(f"the key {key}.name is missing; known: ")


def test_a_preset_with_training_but_no_losses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "training is given without losses; add losses, or remove training" in explain(tmp_path, monkeypatch, losses=[])


def test_a_preset_of_an_unregistered_component_lists_the_registered_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for slot, load in (("localizer", trained_components.load_localizer), ("encoder", components.load_encoder)):
        path = tmp_path / preset_path(slot, "mine")
        path.parent.mkdir(parents=True)
        path.write_text("name: mine\ntraining: {max_epochs: 1, batch_size: 1, optimizer: {learning_rate: 0.1}}\n")
        monkeypatch.chdir(tmp_path)
        known = ", ".join(list_components(slot))
        with pytest.raises(ValueError, match=re.escape(f"presets/{slot}/mine.yaml: name = 'mine' is unknown; known: {known}")):
            load("mine")


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"precision": 16}, "training.precision = 16: Input should be 32, 'bf16-mixed' or '16-mixed'"),
        ({"optimizer": {"name": "sps"}}, "training: the optimizer 'sps' takes its step from the loss"),
        ({"optimizer": {"name": "sgd", "lr": 1.0}}, "the key training.optimizer.sgd.learning_rate is missing"),
        ({"accumulate_batches": 0}, "training.accumulate_batches = 0: Input should be greater than 0"),
        (
            {"schedule": {"name": "step", "every": 2}},
            "unknown key training.schedule.step.every = 2; known: every_epochs, factor, name",
        ),
    ],
)
def test_a_wrong_value_of_the_training_is_named_with_its_key(
    training: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert message in explain(tmp_path, monkeypatch, training=training)


def test_help_runs_nothing_and_lists_the_components(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from stages import train

    monkeypatch.setattr(sys, "argv", ["stages/train.py", "--help"])
    run_stage(train.main, name="train---help", usage="{roles}", slots=TRAINED)
    printed = capsys.readouterr().out
    assert printed.startswith("usage: python -m stages.train {roles}\n\nDVC stage `train`: ")
    assert printed.rstrip().endswith(describe_slots(TRAINED))


def test_arguments_that_a_stage_does_not_take_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["stages/extract.py", "videos"])
    with pytest.raises(SystemExit, match="2"):
        run_stage(lambda: None, name="extract")
    assert "python -m stages.extract takes no arguments, got videos; set its values in params.yaml" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage", ["render", "ingest", "validate", "pretrain", "extract", "train", "evaluate", "export", "index", "package"]
)
def test_every_stage_explains_itself(stage: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"stages.{stage}", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert result.stdout.startswith("usage: ")
    assert result.stderr == ""

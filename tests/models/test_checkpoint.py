"""Checkpoint folders: loading verifies the files."""

import json
from pathlib import Path

import pytest
import torch
from streams import video_dims

from corpus.store import Fingerprint
from models.artefacts.checkpoint import CheckpointConfig, load_blind, load_localizer, save_checkpoint
from models.blinds.text_only import TextOnlyParams

DIMS = video_dims(dim=4, num_places=2, text_dim=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    params = TextOnlyParams(name="text_only", num_cells=4, hidden_dim=2)
    torch.manual_seed(0)
    fingerprint = Fingerprint({"weights": "a"}, {"decoder": "b"})
    config = CheckpointConfig("blind", params.model_dump(mode="json"), DIMS, fingerprint, "text", longest_s=40.0)
    save_checkpoint(tmp_path, params.build(DIMS), config)
    return tmp_path


def test_a_checkpoint_comes_back_frozen_and_in_evaluation_mode(folder: Path) -> None:
    model, config = load_blind(folder)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert config.dims == DIMS
    assert config.streams == ()
    assert config.fingerprint == Fingerprint({"weights": "a"}, {"decoder": "b"})


def test_equal_weights_are_saved_as_equal_bytes(folder: Path, tmp_path: Path) -> None:
    model, config = load_blind(folder)
    save_checkpoint(tmp_path / "again", model, config)
    for name in ("weights.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_damaged_weights_are_refused_with_the_command_that_repairs_them(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights.safetensors is damaged: .*; run: dvc repro --force train@blind"):
        load_blind(folder)


def test_a_missing_checkpoint_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"config.json does not exist: no trained localizer; run: dvc repro train@localizer"
    ):
        load_localizer(tmp_path)


def test_a_checkpoint_of_another_role_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="holds a blind, expected a localizer"):
        load_localizer(folder)


def test_a_checkpoint_of_another_version_is_refused(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("format_version") == 2
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="has format_version None, this code reads 2; run: dvc repro --force train@blind"):
        load_blind(folder)

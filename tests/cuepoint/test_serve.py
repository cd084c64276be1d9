"""`cuepoint serve`: the program that it starts, with and without the training tools, and its checks before the start."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from corpus.files import read_json, write_json
from cuepoint.__main__ import main
from pipeline.launch import serve


class Became(Exception):  # noqa: N818
    """Raised in place of the replacement of this process by a program."""


@pytest.fixture
def became(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record the program and the environment that a command starts in an empty folder."""
    seen: list[Any] = []

    def execve(path: str, command: list[str], environment: dict[str, str]) -> None:
        seen.extend([command, environment])
        raise Became

    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "execve", execve)
    return seen


def test_a_bundle_and_an_index_are_served_from_their_folders(small_project: Any, became: list[Any], tmp_path: Path) -> None:
    with pytest.raises(Became):
        main(
            [
                "serve",
                "--bundle",
                str(small_project.bundle),
                "--index",
                str(small_project.index),
                "--media",
                str(small_project.raw),
            ]
        )
    command, environment = became
    assert command[1:5] == ["-m", "bentoml", "serve", "serving.service:CuepointService"]
    assert command[5:] == ["--host", "127.0.0.1", "--port", "3000"]
    places = {name: environment[f"CUEPOINT_{name}"] for name in ("BUNDLE", "INDEX", "MEDIA_ROOT", "STATE")}
    expected = {"BUNDLE": small_project.bundle, "INDEX": small_project.index, "MEDIA_ROOT": small_project.raw}
    assert places == {name: str(path) for name, path in expected.items()} | {"STATE": str(tmp_path / "data" / "service")}


def test_without_mlflow_the_folders_of_the_checkout_are_served(
    small_project: Any, became: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("bundle", "index"):
        shutil.copytree(getattr(small_project, name), tmp_path / "data" / name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(Became):
        main(["serve"])
    assert became[1]["CUEPOINT_BUNDLE"] == str(tmp_path / "data" / "bundle")
    assert "MLflow is not installed" in capsys.readouterr().err
    assert main(["serve", "--challenger", "share"]) == 1
    assert "--challenger needs the registry's champion, but MLflow is not installed" in capsys.readouterr().err


def test_with_mlflow_the_champion_is_chosen(became: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "bento").mkdir(parents=True)
    given: list[list[str]] = []
    monkeypatch.setattr(serve, "main", given.append)
    assert main(["serve", "--port", "8080", "--challenger", "share", "--share", "0.2"]) == 0
    assert given == [["--port", "8080", "--challenger", "share", "--share", "0.2"]]


def test_an_index_of_published_models_is_served_with_them_beside_a_registry(
    small_project: Any, became: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "bento").mkdir(parents=True)
    shutil.copytree(small_project.bundle, tmp_path / "data" / "models" / "published")
    with pytest.raises(Became):
        main(["serve", "--index", str(small_project.index), "--media", str(small_project.raw)])
    assert became[1]["CUEPOINT_BUNDLE"] == str(tmp_path / "data" / "models" / "published")
    assert "the index was made by published models, which the registry does not hold" in capsys.readouterr().err


def test_outside_a_checkout_no_registry_is_made(became: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve"]) == 1
    error = capsys.readouterr().err
    assert "this folder has no registry and no data/bento: serving the folders of a bundle and an index" in error
    assert "no finished index; run: make repro" in error
    assert list(tmp_path.iterdir()) == []


def test_an_index_of_other_models_names_the_command_that_rebuilds_it(
    small_project: Any, became: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = Path(shutil.copytree(small_project.index, tmp_path / "index"))
    write_json(index / "index.json", read_json(index / "index.json") | {"bundle_version": "other", "media_dir": str(tmp_path)})
    assert main(["serve", "--bundle", str(small_project.bundle), "--index", str(index)]) == 1
    command = f"cuepoint index {tmp_path} --output {index} --bundle {small_project.bundle}"
    assert capsys.readouterr().err.endswith(f"was made by another bundle; run: {command}\n")


def test_missing_videos_give_a_warning(
    small_project: Any, became: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = Path(shutil.copytree(small_project.index, tmp_path / "index"))
    write_json(index / "index.json", read_json(index / "index.json") | {"media_dir": "/nowhere/videos"})
    with pytest.raises(Became):
        main(["serve", "--bundle", str(small_project.bundle), "--index", str(index)])
    error = capsys.readouterr().err
    assert error.startswith("warning: the videos cannot be played: their folder /nowhere/videos is missing; connect its disk")
    assert "--media NEW_FOLDER" in error


def test_a_state_that_cannot_be_written_names_the_variable(
    small_project: Any,
    became: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "state").write_text("a file in the place of the folder")
    monkeypatch.setenv("CUEPOINT_STATE", str(tmp_path / "state"))
    assert main(["serve", "--bundle", str(small_project.bundle), "--index", str(small_project.index)]) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path / 'state'} cannot be written (" in error
    assert error.endswith("CUEPOINT_STATE=FOLDER cuepoint serve\n")


def test_a_missing_index_is_refused(became: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--index", "gone"]) == 1
    assert "the index gone is missing; if it was moved, name its new folder with --index" in capsys.readouterr().err

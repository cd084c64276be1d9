"""Towers of 8-bit weights: made if vectors keep their direction, otherwise refused with the measured cosine."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cuepoint.__main__ import main
from pipeline.published.int8 import compare, quantise
from search.bundle import load_bundle
from tiny_onnx import make_pictures
from tiny_pair import PairProject, fetch, write_videos

pytestmark = pytest.mark.slow


@pytest.fixture
def project(pair_project: PairProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PairProject:
    """A copy of a fetched pair, in the working folder."""
    shutil.copytree(pair_project.root / "data", tmp_path / "data")
    shutil.copytree(pair_project.root / "presets", tmp_path / "presets")
    shutil.copytree(pair_project.videos, tmp_path / "videos")
    monkeypatch.chdir(tmp_path)
    return PairProject.name(tmp_path, "clip")


def test_an_int8_model_lies_beside_the_other_and_states_its_cosines(
    project: PairProject, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "fetch", "clip", "--int8", "--calibrate", "videos"]) == 0
    bundle, wide = load_bundle(project.root / "data/models/clip-int8"), load_bundle(project.model)
    assert (bundle.model.name, bundle.model.revision) == ("clip-int8", wide.model.revision)
    assert bundle.manifest.fetched is not None
    cosines = bundle.manifest.fetched.int8_cosines
    assert set(cosines) == {"encoder_video", "text_encoder"}
    assert all(0.98 <= cosine < 1 for cosine in cosines.values())
    assert f"encoder_video: smallest cosine {cosines['encoder_video']:.4f}" in capsys.readouterr().err
    assert bundle.version != wide.version
    assert bundle.encoding != wide.encoding
    for name in cosines:
        assert (bundle.folder / f"{name}.onnx").stat().st_size < (wide.folder / f"{name}.onnx").stat().st_size
    assert main(["index", "videos", "--model", "clip-int8", "--workers", "1"]) == 0


def test_weights_that_eight_bits_cannot_hold_are_refused_with_the_cosine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = make_pictures()
    (weights,) = [one for one in pictures.graph.initializer if one.name == "weights"]
    values = numpy_helper.to_array(weights).copy()  # (48, D): channel, then place
    values[0], values[1] = 1e4, -1e4  # two places of one channel, which cancel in pictures of one colour
    weights.CopyFrom(numpy_helper.from_array(values, "weights"))
    fetch("onnx", tmp_path, pictures=pictures)
    write_videos(tmp_path / "videos")
    monkeypatch.chdir(tmp_path)
    assert main(["models", "fetch", "onnx", "--int8", "--calibrate", "videos"]) == 1
    message = capsys.readouterr().err
    assert "loses too much with int8: vectors of its encoder_video have a cosine of " in message
    assert "at least 0.98 is needed" in message
    assert sorted(path.name for path in (tmp_path / "data/models").iterdir()) == ["onnx"]


def test_the_cosine_is_the_smallest_of_all_rows(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).normal(size=(5, 3, 16, 16)).astype(np.float32)
    onnx.save(make_pictures(), tmp_path / "one.onnx")
    quantise(tmp_path / "one.onnx", tmp_path / "two.onnx")
    rows = [compare(tmp_path / "one.onnx", tmp_path / "two.onnx", {"pixel_values": clips[row : row + 1]}) for row in range(5)]
    assert compare(tmp_path / "one.onnx", tmp_path / "two.onnx", {"pixel_values": clips}) == pytest.approx(min(rows))
    assert compare(tmp_path / "one.onnx", tmp_path / "one.onnx", {"pixel_values": clips}) == pytest.approx(1.0)


def test_int8_needs_videos_and_videos_need_int8(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--int8"], ["--calibrate", "videos"]):
        assert main(["models", "fetch", "clip", *arguments]) == 1
        assert "cuepoint models fetch MODEL --int8 --calibrate FOLDER" in capsys.readouterr().err


def test_a_folder_without_videos_cannot_calibrate(project: PairProject, capsys: pytest.CaptureFixture[str]) -> None:
    (project.root / "empty").mkdir()
    assert main(["models", "fetch", "clip", "--int8", "--calibrate", "empty"]) == 1
    assert "no video of the calibration can be decoded" in capsys.readouterr().err
    assert not (project.root / "data/models/clip-int8").exists()

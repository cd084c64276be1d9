"""Copied files of a published pair become a bundle that indexes and searches a folder without torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter

from corpus.files import read_json, sha256_file
from corpus.media import iter_clips
from cuepoint.__main__ import main
from models.encoders.pairs import PairParams
from search.bundle import load_bundle
from search.networks import Networks
from tiny_pair import FORMS, Form, PairProject, fetch, write_videos
from workers import do_once

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "onnx", "onnxscript"):
    sys.modules[name] = None  # importing it is an error, in worker processes too
from cuepoint.__main__ import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module", params=FORMS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PairProject:
    form: Form = request.param
    name = f"pair_{form}"

    def write(folder: Path) -> None:
        fetch(form, folder / name)
        write_videos(folder / name / "videos")

    return PairProject.name(do_once(tmp_path_factory, name, write) / name, form)


def run(project: PairProject, *arguments: str) -> subprocess.CompletedProcess[str]:
    (project.root / "program.py").write_text(WITHOUT_TORCH)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUEPOINT_")}
    command = [sys.executable, str(project.root / "program.py"), *arguments]
    environment = kept | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=project.root, env=environment)


def test_the_bundle_says_what_it_is_and_holds_every_file_with_its_hash(project: PairProject) -> None:
    bundle = load_bundle(project.model)
    content = read_json(project.model / "manifest.json")
    assert content["models"]["pair"] == bundle.model.model_dump()
    assert bundle.model.name == project.model.name
    assert {path.name for path in project.model.iterdir()} == {*bundle.manifest.files, "manifest.json"}
    assert all(sha256_file(project.model / name) == file.sha256 for name, file in bundle.manifest.files.items())
    (stream,) = bundle.manifest.streams.values()
    preset = yaml.safe_load((project.root / "presets" / "pair" / f"{project.model.name}.yaml").read_text())
    sampling = read_json(project.model / "manifest.json")["streams"]["video"]["sampling"]
    assert sampling["preparation"]["resize"] == preset["sampling"]["preparation"]["resize"]
    assert stream.clip_rate_hz == sampling["clip_rate_hz"] == 1.0
    assert read_json(project.root / "presets" / "models.lock.json").keys() >= {project.model.name}


@torch.no_grad()
def test_both_towers_give_the_vectors_of_the_published_pair(project: PairProject) -> None:
    preset = yaml.safe_load((project.root / "presets" / "pair" / f"{project.model.name}.yaml").read_text())
    pair = TypeAdapter(PairParams).validate_python(preset).expand()
    video, text, bundle = pair.video.start(), pair.text.start([]), load_bundle(project.model)
    networks = Networks(bundle, num_threads=1)
    sampling = video.params.sampling
    clips = np.concatenate(list(iter_clips(project.videos / "white.mp4", sampling, duration_s=4.0)))
    expected = video.encoder.encode_clips(torch.from_numpy(clips)).numpy()
    assert networks.encode_clips("video", clips) == pytest.approx(expected, abs=1e-4)
    for sentence in ("a red circle moves left", "The green square, twice!"):
        ids = text.tokenizer.encode([sentence])
        assert np.array_equal(ids, bundle.tokenizer.encode([sentence]))
        assert networks.encode_text(ids).pooled == pytest.approx(text.encoder(torch.from_numpy(ids)).pooled.numpy(), abs=1e-4)


def test_a_folder_is_indexed_and_searched_without_torch(project: PairProject) -> None:
    indexed = run(project, "index", "videos", "--workers", "1")
    assert indexed.returncode == 0, indexed.stderr
    assert "index: 2 videos, 6 clips; 2 newly encoded" in indexed.stdout  # one clip a second
    assert f"models: {load_bundle(project.model).model}. What one picture shows" in indexed.stderr
    found = run(project, "search", "a red circle", "--index", "videos-index", "--json")
    assert found.returncode == 0, found.stderr
    document, model = json.loads(found.stdout), load_bundle(project.model).model
    assert {"name": model.name, "revision": model.revision}.items() <= document["model"].items()
    assert {moment["video_id"] for moment in document["moments"]} == {"white.mp4", "grey.mp4"}
    shown = run(project, "search", "a red circle", "--index", "videos-index")
    assert f"models: {model}" in shown.stderr


def test_a_second_fetch_takes_what_is_whole_and_makes_what_is_damaged_anew(
    pair_project: PairProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pair_project.root)
    assert main(["models", "fetch", "clip"]) == 0
    assert "clip is complete in data/models/clip" in capsys.readouterr().err
    version = load_bundle(fetch("clip", tmp_path)).version
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/models/clip/localizer.onnx").write_bytes(b"damaged")
    assert main(["models", "fetch", "clip"]) == 0
    assert "fetching clip again: data/models/clip/localizer.onnx is damaged" in capsys.readouterr().err
    assert load_bundle(tmp_path / "data/models/clip").version == version

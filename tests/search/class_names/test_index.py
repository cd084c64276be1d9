"""The index of a zero-shot bundle: made once, verified, never mixed with other models, and without torch."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.files import read_json, write_json
from search.answers import SearchQuery
from search.class_names.bundle import load_class_bundle
from search.class_names.collection import load_class_collection
from search.class_names.predictor import ClassPredictor
from search.class_names.recipe import average_shots, pool_frames
from search.class_names.video import ClassIndexer
from search.indexing.folder_index import index_folder
from search.kinds import find_kind, load_predictor, open_bundle, require_made_by
from tiny_class_pair import ClassProject, save_class_bundle

pytestmark = pytest.mark.slow  # the networks have their real size
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def copy(class_project: ClassProject, tmp_path: Path) -> Any:
    """A copy of the project; its index still names the first folder of videos."""
    shutil.copytree(class_project.videos, tmp_path / "videos")
    shutil.copytree(class_project.index, tmp_path / "index")
    return class_project._replace(videos=tmp_path / "videos", index=tmp_path / "index")


def test_the_index_holds_what_the_classifier_says_of_each_frame(class_project: ClassProject) -> None:
    bundle = load_class_bundle(class_project.bundle)
    collection = load_class_collection(class_project.index, bundle)
    assert {name: video.duration_s for name, video in collection.videos.items()} == {"grey.mp4": 2.5, "white.mp4": 4.0}
    for name, video in collection.classified.items():
        own = ClassIndexer(bundle).encode_file(class_project.videos / name, report=lambda _: None)
        assert np.array_equal(video.logits, own.logits)
        assert video.logits.dtype == np.float16
        assert np.array_equal(video.pooled[0], pool_frames(own.logits))
        assert np.array_equal(video.fits, average_shots(own.logits, video.shots))
        assert video.shots.tolist() == [[0, own.num_clips]]


def test_frames_that_nearly_equal_the_one_before_them_are_classified_once(class_project: ClassProject) -> None:
    bundle, lengths = load_class_bundle(class_project.bundle), list[int]()
    sampling = bundle.manifest.sampling.model_copy(update={"reuse_below": 2.0})
    indexer = ClassIndexer(replace(bundle, manifest=bundle.manifest.model_copy(update={"sampling": sampling})))
    classify = indexer._networks.classify
    indexer._networks.classify = lambda views: (lengths.append(len(views)), classify(views))[1]  # type: ignore[method-assign]
    found = indexer.encode_file(class_project.videos / "white.mp4", report=lambda _: None)  # 8 frames of one colour
    assert lengths == [1]
    every = ClassIndexer(bundle).encode_file(class_project.videos / "white.mp4", report=lambda _: None)
    assert found.logits.shape == every.logits.shape
    assert np.abs(found.logits.astype(np.float32) - every.logits).max() <= 0.05 * np.abs(every.logits).max()
    assert "reuse_below" not in bundle.manifest.sampling.model_dump()  # bundles from before the setting keep their hashes
    assert "reuse_below" in sampling.model_dump()


def test_a_search_over_the_index_is_that_of_the_recipe(class_project: ClassProject) -> None:
    predictor = load_predictor(class_project.bundle, class_project.index, num_threads=1)
    assert isinstance(predictor, ClassPredictor)
    (answer,) = predictor.search(SearchQuery("a red circle", 2))
    assert sorted((moment.video_id, moment.start_s, moment.end_s) for moment in answer.moments) == [
        ("grey.mp4", 0.0, 2.5),
        ("white.mp4", 0.0, 4.0),
    ]
    assert answer.basis is not None
    assert len(answer.basis.classes) <= 10


def test_a_second_run_encodes_nothing_and_writes_nothing(copy: Any) -> None:
    index_folder(copy.videos, bundle_dir=copy.bundle, output_dir=copy.index, num_workers=1)
    before = {path: path.stat().st_mtime_ns for path in copy.index.rglob("*") if path.is_file() and path.name != ".lock"}
    report = index_folder(copy.videos, bundle_dir=copy.bundle, output_dir=copy.index, num_workers=1)
    assert (report.num_videos, report.num_clips, report.num_encoded) == (2, 13, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_index_names_its_models_and_is_refused_by_others(copy: Any, small_project: Any, tmp_path: Path) -> None:
    index = read_json(copy.index / "index.json")
    assert index["models"] == {"pair": {"name": "real", "revision": "tiny"}}
    save_class_bundle(tmp_path / "other", revision="other", seed=1)
    with pytest.raises(
        ValueError, match=r"index\.json was made by real at tiny, but the bundle has real at other; run: cuepoint index"
    ):
        load_predictor(tmp_path / "other", copy.index)
    with pytest.raises(ValueError, match="was made by real at tiny, but the bundle has no published model"):
        load_predictor(small_project.bundle, copy.index)
    with pytest.raises(ValueError, match="was made by no published model, but the bundle has real at tiny"):
        load_predictor(copy.bundle, small_project.index)
    write_json(copy.index / "index.json", index | {"bundle_version": "other"})
    with pytest.raises(ValueError, match=r"real at tiny cannot search .*it was made by another bundle"):
        require_made_by(copy.index, copy.bundle)


@pytest.mark.parametrize("name", ["logits.npy", "shots.npy"])
def test_a_damaged_file_of_the_index_is_named(name: str, copy: Any) -> None:
    (path,) = copy.index.glob(f"files-*/{name}")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match=rf"{name} is damaged: sha256"):
        load_predictor(copy.bundle, copy.index)


@pytest.mark.parametrize("name", ["pictures.onnx", "class_names.json"])
def test_a_damaged_file_of_the_bundle_is_named_with_the_command_that_fetches_it(
    name: str, class_project: ClassProject, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(class_project.bundle, tmp_path / "real"))
    (folder / name).write_bytes(b"!")
    with pytest.raises(ValueError, match=rf"{name} is damaged: .*run: cuepoint models fetch real"):
        open_bundle(folder)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} is missing from the bundle; run: cuepoint models fetch real"):
        open_bundle(folder)


def test_a_manifest_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {"kind": "oracle"})
    with pytest.raises(ValueError, match="has the kind 'oracle'; this code knows class_names, two_stage"):
        find_kind(tmp_path)


def test_index_and_search_need_no_torch(copy: Any, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'dvc', 'mlflow'): sys.modules[name] = None\n"
        "from cuepoint.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUEPOINT_MODELS": str(copy.bundle.parent)}

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    indexed = run("index", copy.videos, "--output", tmp_path / "own", "--workers", "1")
    assert "models: real at tiny. Objects, animals" in indexed.stderr
    assert "index: 2 videos, 13 clips; 2 newly encoded" in indexed.stdout
    found = json.loads(run("search", "a red circle", "--index", tmp_path / "own", "--json").stdout)
    assert found["model"]["name"] == "real"
    assert 0 <= found["basis"]["grounding"] <= 1
    assert {Path(moment["path"]).name for moment in found["moments"]} == {"grey.mp4", "white.mp4"}
    shown = run("search", "a red circle", "--index", tmp_path / "own")
    assert "models: real at tiny, by the classes" in shown.stderr

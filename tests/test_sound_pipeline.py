"""The whole pipeline with a stream of sound: one option adds it, and models, bundle, index and search read it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from corpus.files import read_json, sha256_file
from search.answers import SearchQuery
from search.bundle import load_bundle
from search.indexing.video_indexer import VideoIndexer
from search.predictor import MomentPredictor

pytestmark = pytest.mark.whole

RunIn = Callable[..., str]
HEARING = (
    "+pretrain.streams.sound=log_mel",
    "train.models.localizer=place_tan_sound",
    "train.models.retriever=dual_encoder_sound",
)


@pytest.fixture(scope="module")
def hearing(tiny_pipeline: Path, run_in: RunIn, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Run a clone of the finished pipeline with sound; return the clone and the stages that ran."""
    folder = tmp_path_factory.mktemp("hearing")
    clone = folder / "clone"
    run_in(folder, "git", "clone", "-q", str(tiny_pipeline), str(clone))
    run_in(clone, "dvc", "config", "--local", "cache.dir", str(tiny_pipeline / ".dvc" / "cache"))
    run_in(clone, "dvc", "checkout")
    output = run_in(clone, "dvc", "exp", "run", *(part for choice in HEARING for part in ("-S", choice)), "index")
    return clone, re.findall(r"^Running stage '(.+)':", output, flags=re.MULTILINE)


def test_one_option_each_adds_the_stream_and_the_models_that_read_it(hearing: tuple[Path, list[str]]) -> None:
    folder, ran = hearing
    assert {"identity", "validate", "pretrain", "extract", "train@localizer", "train@retriever"} <= set(ran)
    assert not {"render", "ingest"} & set(ran)
    assert read_json(folder / "data" / "features" / "index.json")["streams"].keys() == {"sound", "video"}
    metrics = json.loads((folder / "data" / "reports" / "evaluation" / "metrics.json").read_text())
    assert 0 <= metrics["test"]["localizer"]["R1_iou0.5"] <= 1


def test_the_gate_finds_the_sound_of_the_drawn_corpus(hearing: tuple[Path, list[str]]) -> None:
    findings = read_json(hearing[0] / "data" / "reports" / "expectations.json")
    about_sound = {one["name"]: one["success"] for one in findings if "sound" in one["name"]}
    assert about_sound == dict.fromkeys(about_sound, True)
    assert len(about_sound) == 4


def test_the_stream_of_pictures_keeps_its_bytes(hearing: tuple[Path, list[str]], tiny_pipeline: Path) -> None:
    before, after = (folder / "data" / "features" / "video" for folder in (tiny_pipeline, hearing[0]))
    assert {path.name: sha256_file(path) for path in before.iterdir()} == {
        path.name: sha256_file(path) for path in after.iterdir()
    }


def test_the_bundle_hears_and_the_collection_is_searched(hearing: tuple[Path, list[str]]) -> None:
    bundle = hearing[0] / "data" / "bundle"
    assert read_json(bundle / "manifest.json")["streams"]["sound"]["sampling"]["kind"] == "sound"
    predictor = MomentPredictor.load(bundle, hearing[0] / "data" / "index", num_threads=1)
    (answer,) = predictor.search(SearchQuery("a red circle moves left", min_confidence=0.0))
    assert answer.moments


def test_a_file_that_is_indexed_is_heard_as_in_training(hearing: tuple[Path, list[str]]) -> None:
    """The networks of the bundle give the same vectors from the file as from the features of the training."""
    data = hearing[0] / "data"
    collection = MomentPredictor.load(data / "bundle", data / "index", num_threads=1).collection
    expected = collection.get_encoded("test_0000")
    found = VideoIndexer(load_bundle(data / "bundle")).encode_file(
        data / "raw" / "shapes" / "videos" / "test_0000.mp4", report=lambda share: None
    )
    assert found.cells.keys() == expected.cells.keys() == {"sound", "video"}
    for name, cells in found.cells.items():
        np.testing.assert_allclose(cells.array.astype(np.float32), expected.cells[name].array.astype(np.float32), atol=0.02)
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=0.02)

"""Both towers of a published network in the pipeline: pretraining keeps them unchanged, and serving prepares pictures alike."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pretrained_pipeline import run_to_bundle

from corpus.files import read_json
from corpus.records import load_corpus
from corpus.store import FeatureStore
from models.artefacts.encoder_files import load_encoders
from models.training.fitting import FitResult
from pipeline.components.loading import load_pretraining
from pipeline.components.presets import preset_path
from pipeline.params import PARAMS_FILE, PipelineParams, load_params
from pipeline.training.pretraining import PretrainPlan
from search.bundle import load_bundle
from tiny_onnx import DIM, make_pictures, make_sentences, save_pair
from tiny_text import save_clip, save_open_clip, save_siglip

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
ENCODE = """
import sys
from pathlib import Path
for name in ("torch", "transformers"):
    sys.modules[name] = None
import numpy as np
from search.bundle import load_bundle
from search.indexing.video_indexer import VideoIndexer
encoded = VideoIndexer(load_bundle(Path(sys.argv[1]))).encode_file(Path(sys.argv[2]), report=lambda share: None)
np.save(sys.argv[3], encoded.cells["video"].array)
"""


WIDTHS = {"clip": 12, "siglip_b16": 16, "open_clip": 12, "onnx": DIM}  # of each tiny model
RESIZES = {"clip": "crop", "siglip_b16": "stretch", "open_clip": "crop_rounded", "onnx": "crop"}


@dataclass(frozen=True)
class Project:
    """The folders of a finished pipeline with the towers of a pair."""

    pair: str
    root: Path
    result: FitResult


@pytest.fixture(scope="module", params=WIDTHS)
def project(request: pytest.FixtureRequest, small_models: Any, tmp_path_factory: pytest.TempPathFactory) -> Project:
    root, pair = tmp_path_factory.mktemp(request.param), str(request.param)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CUEPOINT_WORKERS", "1")
        environment.setenv("CUEPOINT_DEVICE", "cpu")
        environment.chdir(root)
        choose_pair(root, pair, save_source(root / "source", pair))
        params = load_params(ROOT / PARAMS_FILE).model_dump(by_alias=True)
        params["pretrain"]["encoder"] = pair  # what -S pretrain.encoder=<pair> sets
        chosen = load_pretraining(PipelineParams.model_validate(params))
        return Project(pair, root, run_to_bundle(root, small_models, PretrainPlan(*chosen, seed=1))[0])


def save_source(folder: Path, pair: str) -> Path:
    """Write a tiny model in the files that a pair reads."""
    if pair == "onnx":
        source = save_pair(folder, make_pictures(), make_sentences())
    elif pair == "siglip_b16":
        source = save_siglip(folder, image_px=16)
    else:
        source = save_clip(folder, image_px=16)
    if pair == "open_clip":
        source = save_open_clip(folder.with_name("own"), source, image_px=16)
    (source / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    return source


def choose_pair(root: Path, pair: str, source: Path) -> None:
    """Put the presets into a folder, with that of a pair for a tiny model."""
    shutil.copytree(ROOT / "presets", root / "presets")
    path = root / preset_path("pair", pair)
    preset = yaml.safe_load(path.read_text(encoding="utf-8"))
    own = {"source": str(source), "revision": None, "weights_sha256": None, "licence": None}
    sampling = preset["sampling"] | {"size_px": 16}
    if pair == "onnx":
        clip = yaml.safe_load(preset_path("pair", "clip").read_text(encoding="utf-8"))
        sampling = sampling | {"preparation": clip["sampling"]["preparation"]}
        own |= {"picture_file": None, "text_file": None, "is_padded": False, "padding_id": 1}
    elif pair == "siglip_b16":
        own |= {"max_tokens": 16}
    path.write_text(yaml.safe_dump(preset | own | {"sampling": sampling}), encoding="utf-8")


def test_pretraining_trains_nothing_and_records_the_licence(project: Project) -> None:
    assert project.result.curve == []
    video = load_encoders(project.root / "encoder").streams["video"]
    assert video.params.licence == "mit"
    assert not any(weight.requires_grad for weight in video.encoder.parameters())
    config = read_json(project.root / "encoder" / "config.json")
    repository = yaml.safe_load((project.root / preset_path("pair", project.pair)).read_text(encoding="utf-8"))["repository"]
    assert config["models"] == {name: {"name": repository, "revision": None} for name in ("video", "text_encoder")}


def test_the_store_has_one_place_of_the_shared_space(project: Project) -> None:
    store = FeatureStore(project.root / "features").stream("video")
    assert store.feature_shape == (1, WIDTHS[project.pair])
    assert all(np.isfinite(features.astype(np.float32)).all() for _, features in store.items())


def test_the_bundle_describes_the_picture_preparation(project: Project) -> None:
    manifest = load_bundle(project.root / "bundle").manifest
    preparation = manifest.require_samplings()["video"].preparation
    assert (preparation.resize, preparation.interpolation) == (RESIZES[project.pair], "bicubic")
    assert manifest.components["encoder_video"]["licence"] == "mit"


def test_a_process_without_torch_and_transformers_encodes_a_file_as_extraction_did(
    project: Project, small_models: Any, run_in: Any, tmp_path: Path
) -> None:
    video = load_corpus(small_models.corpus).videos[0]
    found = tmp_path / "cells.npy"
    run_in(ROOT, sys.executable, "-c", ENCODE, str(project.root / "bundle"), str(small_models.raw / video.path), str(found))
    manifest = load_bundle(project.root / "bundle").manifest
    features = FeatureStore(project.root / "features").stream("video").load(video.video_id).astype(np.float32)
    counts = {"video": len(features)}
    ranges = manifest.share_cells(manifest.cut(counts, video.duration_s), counts, video.duration_s)["video"].ranges
    expected = np.stack([features[start:end].mean(axis=0) for start, end in ranges])
    np.testing.assert_allclose(np.load(found).astype(np.float32), expected, atol=5e-3)

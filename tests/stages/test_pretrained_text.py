"""A pretrained text encoder through the pipeline: from its files to answers of a process without torch and transformers."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.files import write_json
from corpus.media import ClipSampling
from corpus.records import load_corpus
from corpus.store import FeatureStore
from models.encoders.place_cnn import PlaceCNNParams
from models.exchange.encoder_files import load_encoders
from models.objectives.base import Schedule
from models.objectives.mil_nce import MILNCEParams
from models.text_encoders.clip_text import CLIPTextParams
from serving.bundle import load_bundle
from serving.networks import Networks
from serving.search import SearchSettings
from small_training import make_plan
from stages.export import ExportInputs, export
from stages.extract import extract
from stages.index import index
from stages.pretrain import PretrainPlan, pretrain
from stages.support.bento import read_packages
from stages.support.role_training import TrainInputs, train
from tiny_text import save_clip

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
QUERY = "the red circle spins unbelievably"
SEARCH = """
import json, sys
from pathlib import Path
for name in ("torch", "transformers", "dvc", "mlflow", "prefect"):
    sys.modules[name] = None
from serving.answers import SearchQuery
from serving.predictor import MomentPredictor
predictor = MomentPredictor.load(Path(sys.argv[1]), Path(sys.argv[2]), num_threads=1)
(answer,) = predictor.search(SearchQuery(sys.argv[3], 3))
print(json.dumps([answer.moments, answer.unknown_words]))
"""


@dataclass(frozen=True)
class Project:
    """The folders of a pipeline that has run with a tiny CLIP for its sentences."""

    source: Path
    encoder: Path
    bundle: Path
    index: Path
    report: dict[str, Any]


@pytest.fixture(scope="module")
def project(small_models: Any, tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("clip")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CUEPOINT_WORKERS", "1")
        environment.setenv("CUEPOINT_DEVICE", "cpu")
        return run_pipeline(root, small_models, save_clip(root / "clip"))


def run_pipeline(root: Path, small_models: Any, source: Path) -> Project:
    corpus = load_corpus(small_models.corpus)
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)
    plan = PretrainPlan(
        encoder=PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=8, norm_groups=2),
        text_encoder=CLIPTextParams(name="clip_text", source=str(source), dim=8),
        objective=MILNCEParams(
            name="mil_nce", schedule=Schedule(epochs=2, clips_per_video=4), mirrored_words=(("left", "right"),)
        ),
        seed=1,
    )
    pretrain(plan, corpus, media_dir=small_models.raw, out_dir=root / "encoder", cache_dir=root / "cache")
    extract(
        corpus.videos,
        videos_per_shard=4,
        encoder_dir=root / "encoder",
        media_dir=small_models.raw,
        out_dir=root / "features",
        cache_dir=root / "cache",
    )
    inputs = TrainInputs(corpus, FeatureStore(root / "features"), load_encoders(root / "encoder"))
    for role in ("retriever", "localizer"):
        train(make_plan(role, max_epochs=1), inputs, out_dir=root / "checkpoints" / role, state_dir=root / "state" / role)
    write_json(root / "calibration.json", {"search": None, "localize": None, "missing": {"search": "none", "localize": "none"}})
    settings = SearchSettings(survivors=3, window_weight=2, localizer_weight=0.05, max_iou=0.5, moments_per_video=3)
    folders = ExportInputs(
        small_models.corpus, root / "encoder", root / "features", root / "checkpoints", root / "calibration.json"
    )
    report = export(folders, settings, max_difference=1e-4, bundle_dir=root / "bundle")
    index(
        bundle_dir=root / "bundle",
        corpus_dir=small_models.corpus,
        features_dir=root / "features",
        corpus_name="small",
        index_dir=root / "index",
    )
    return Project(source, root / "encoder", root / "bundle", root / "index", report)


def test_the_bundle_carries_the_tokenizer_instead_of_a_vocabulary(project: Project) -> None:
    bundle = load_bundle(project.bundle)
    assert "tokenizer.json" in bundle.manifest.files
    assert "vocabulary.json" not in bundle.manifest.files
    assert bundle.tokenizer.digest == load_encoders(project.encoder).tokenizer.digest
    assert bundle.manifest.components["text_encoder"]["name"] == "clip_text"


def test_exported_and_torch_encoder_agree_on_a_sentence(project: Project) -> None:
    encoders, bundle = load_encoders(project.encoder), load_bundle(project.bundle)
    found = Networks(bundle, num_threads=1).encode_text(bundle.tokenizer.encode([QUERY, "a square"]))
    expected = encoders.text(torch.from_numpy(encoders.tokenizer.encode([QUERY, "a square"])))
    for array, tensor in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, tensor.numpy(), atol=1e-4)
    assert max(project.report["max_difference"].values()) <= 1e-4


def test_pretraining_moved_the_projection_and_nothing_else(project: Project) -> None:
    trained = load_encoders(project.encoder).text.state_dict()
    torch.manual_seed(0)
    first = CLIPTextParams(name="clip_text", source=str(project.source), dim=8).start(["a"]).encoder.state_dict()
    frozen = [name for name in first if name.startswith("frozen.")]
    assert all(torch.equal(first[name], trained[name]) for name in frozen)
    gram = trained["projection.weight"] @ trained["projection.weight"].T
    assert (gram - torch.eye(8)).abs().max() > 1e-4  # it was drawn orthogonal


def test_a_process_without_torch_and_transformers_answers(project: Project, run_in: Any) -> None:
    output = run_in(ROOT, sys.executable, "-c", SEARCH, str(project.bundle), str(project.index), QUERY)
    moments, unknown = json.loads(output)
    assert len(moments) == 3
    assert unknown == []


def test_a_bento_of_such_a_bundle_asks_for_the_package_of_its_tokenizer(project: Project, small_project: Any) -> None:
    packages = [
        {line.partition("==")[0] for line in read_packages(ROOT / "pyproject.toml", also=load_bundle(folder).tokenizer.packages)}
        for folder in (project.bundle, small_project.bundle)
    ]
    assert packages[0] - packages[1] == {"tokenizers"}

"""A pretrained text encoder in the pipeline: from its files to the answers of a process without torch and transformers."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretrained_pipeline import run_to_bundle

from corpus.media import ClipSampling
from models.artefacts.encoder_files import load_encoders
from models.encoders.text.clip_text import CLIPTextParams
from models.encoders.video.place_cnn import PlaceCNNParams
from models.objectives.base import ObjectiveTraining
from models.objectives.mil_nce import MILNCEParams
from models.optimizers.adamw import AdamWParams
from pipeline.packaging.bento import read_packages
from pipeline.training.pretraining import PretrainPlan
from search.bundle import load_bundle
from search.networks import Networks
from stages.index import index
from tiny_text import save_clip

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
QUERY = "the red circle spins unbelievably"
SEARCH = """
import json, sys
from pathlib import Path
for name in ("torch", "transformers", "dvc", "mlflow", "prefect"):
    sys.modules[name] = None
from search.answers import SearchQuery
from search.predictor import MomentPredictor
predictor = MomentPredictor.load(Path(sys.argv[1]), Path(sys.argv[2]), num_threads=1)
(answer,) = predictor.search(SearchQuery(sys.argv[3], 3))
print(json.dumps([answer.moments, answer.unknown_words]))
"""


@dataclass(frozen=True)
class Project:
    """The folders of a finished pipeline with a tiny CLIP for its sentences."""

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
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)
    plan = PretrainPlan(
        streams={"video": PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=8, norm_groups=2)},
        text_encoder=CLIPTextParams(name="clip_text", source=str(source), dim=8),
        objective=MILNCEParams(
            name="mil_nce",
            training=ObjectiveTraining(
                max_epochs=2, videos_per_batch=4, clips_per_video=4, optimizer=AdamWParams(learning_rate=0.005)
            ),
            mirrored_words=(("left", "right"),),
        ),
        seed=1,
    )
    _, report = run_to_bundle(root, small_models, plan)
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
    assert (gram - torch.eye(8)).abs().max() > 1e-4  # its initial weights are orthogonal


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

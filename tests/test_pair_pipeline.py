"""The whole pipeline on published features: one option puts both towers of a pair there, and the roles are trained on top."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.files import read_json
from search.answers import SearchQuery
from search.predictor import MomentPredictor
from tiny_text import save_clip

pytestmark = pytest.mark.whole

RunIn = Callable[..., str]
WIDTH = 12  # of the tiny CLIP


@pytest.fixture(scope="module")
def published(tiny_pipeline: Path, run_in: RunIn, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Run a clone of the finished pipeline with a tiny CLIP of random weights; return the clone and the stages that ran."""
    folder = tmp_path_factory.mktemp("published")
    clone, source = folder / "clone", save_clip(folder / "tiny-clip")
    run_in(folder, "git", "clone", "-q", str(tiny_pipeline), str(clone))
    run_in(clone, "dvc", "config", "--local", "cache.dir", str(tiny_pipeline / ".dvc" / "cache"))
    run_in(clone, "dvc", "checkout")
    preset = "presets/pair/clip.yaml"
    choices = ("pretrain.encoder=clip", f"{preset}:source={source}", f"{preset}:sampling.size_px=8")
    output = run_in(clone, "dvc", "exp", "run", *(part for choice in choices for part in ("-S", choice)))
    return clone, re.findall(r"^Running stage '(.+)':", output, flags=re.MULTILINE)


def test_one_option_runs_what_depends_on_the_encoders_and_nothing_before(published: tuple[Path, list[str]]) -> None:
    ran = set(published[1])
    assert {"identity", "pretrain", "extract", "train@localizer", "train@retriever", "evaluate", "export", "index"} <= ran
    assert not {"render", "ingest"} & ran


def test_retriever_and_localizer_are_trained_on_the_features_of_the_pair(published: tuple[Path, list[str]]) -> None:
    data = published[0] / "data"
    assert read_json(data / "encoder" / "config.json")["streams"]["video"]["name"] == "clip_image"
    assert read_json(data / "encoder" / "metrics.json")["epochs"] == 0  # nothing is pretrained
    for role in ("retriever", "localizer"):
        checkpoint = data / "checkpoints" / role
        assert read_json(checkpoint / "config.json")["dims"]["streams"]["video"] == {"num_places": 1, "dim": WIDTH}
        assert len((checkpoint / "curves.csv").read_text(encoding="utf-8").splitlines()) > 1  # epochs
    group = read_json(data / "reports" / "evaluation" / "metrics.json")["test"]
    assert 0 <= group["localizer"]["R1_iou0.5"] <= 1


def test_the_bundle_searches_and_names_the_pair(published: tuple[Path, list[str]]) -> None:
    data = published[0] / "data"
    predictor = MomentPredictor.load(data / "bundle", data / "index", num_threads=1)
    (answer,) = predictor.search(SearchQuery("a red circle moves left", min_confidence=0.0))
    assert answer.moments
    assert {model["name"] for model in read_json(data / "bundle" / "manifest.json")["models"].values()} == {
        "openai/clip-vit-base-patch32"
    }

"""The predictor gives what the torch models give, refuses what it cannot answer, and its index belongs to its bundle."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.moments import RankedMoment, resample_clips
from corpus.store import FeatureStore, FingerprintMismatchError
from models.exchange.batches import TextFeatures, VideoFeatures
from models.exchange.checkpoint import load_localizer, load_retriever
from models.exchange.encoder_files import load_encoders
from serving.answers import Answer, SearchQuery
from serving.bundle import load_bundle
from serving.clip_index import FaissClipIndex
from serving.collection import load_collection
from serving.networks import CellWindows, EncodedText
from serving.predictor import MomentPredictor
from serving.search import ScoredSpans, find_survivors, rank_collection

QUERY = "the red circle spins"


@pytest.fixture(scope="module")
def predictor(small_project: Any) -> MomentPredictor:
    return MomentPredictor.load(small_project.bundle, small_project.index, num_threads=1)


@pytest.fixture
def index(small_project: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_project.index, tmp_path / "index"))


@torch.no_grad()
def search_with_torch(project: Any, query: str, *, top_k: int) -> list[RankedMoment]:
    encoders, store = load_encoders(project.encoder), FeatureStore(project.features)
    retriever, _ = load_retriever(project.checkpoints / "retriever")
    localizer, _ = load_localizer(project.checkpoints / "localizer")
    text = encoders.text(torch.from_numpy(encoders.tokenizer.encode([query])))
    collection = load_collection(project.index, load_bundle(project.bundle).manifest)
    vectors = {name: retriever.embed_clips(torch.from_numpy(clips).float()).numpy() for name, clips in store.items()}
    clips = FaissClipIndex.build(vectors, clip_rate_hz=store.clip_rate_hz, fingerprint=store.fingerprint)

    def localize_one(video_id: str) -> ScoredSpans:
        cells = resample_clips(store.load(video_id), localizer.num_cells).astype(np.float16).astype(np.float32)
        duration_s = torch.tensor([collection.videos[video_id].duration_s])
        video = VideoFeatures(torch.from_numpy(cells)[None], torch.ones(1, localizer.num_cells, dtype=torch.bool), duration_s)
        found = localizer(video, TextFeatures(*text))
        return ScoredSpans(found.spans[0].numpy(), found.scores[0].numpy())

    settings = load_bundle(project.bundle).manifest.search
    vector = retriever.embed_queries(text)[0].numpy()
    found = {window: localize_one(window.video_id) for window in find_survivors(vector, clips, settings).windows}
    return rank_collection(vector, clips, found, settings, top_k=top_k)


def search(predictor: MomentPredictor, query: str = QUERY, top_k: int = 5, **limits: Any) -> Answer:
    (answer,) = predictor.search(SearchQuery(query, top_k, **limits))
    return answer


def test_a_search_gives_what_the_torch_models_give(predictor: MomentPredictor, small_project: Any) -> None:
    expected = search_with_torch(small_project, QUERY, top_k=9)
    found = search(predictor, top_k=9).moments
    assert [moment[:3] for moment in found] == [pytest.approx(moment[:3]) for moment in expected]
    np.testing.assert_allclose([moment.score for moment in found], [moment.score for moment in expected], atol=1e-5)


def test_a_search_gives_the_same_answer_twice(predictor: MomentPredictor) -> None:
    assert search(predictor) == search(predictor)


def test_moments_lie_inside_their_videos(predictor: MomentPredictor) -> None:
    found = search(predictor, top_k=100).moments
    assert found
    for moment in found:
        assert 0 <= moment.start_s < moment.end_s <= predictor.collection.videos[moment.video_id].duration_s + 1e-4


def test_localize_answers_about_the_given_video_only(predictor: MomentPredictor) -> None:
    found = predictor.localize(QUERY, "v2", top_k=3).moments
    assert {moment.video_id for moment in found} == {"v2"}
    assert len(found) == 3


def test_localize_names_an_unknown_video(predictor: MomentPredictor) -> None:
    with pytest.raises(KeyError, match="there is no video 'nowhere' in the collection of 4 videos"):
        predictor.localize(QUERY, "nowhere")


@pytest.mark.parametrize("query", ["", "  ", "?!", "\N{GRINNING FACE}"])
def test_a_sentence_without_words_is_refused(predictor: MomentPredictor, query: str) -> None:
    with pytest.raises(ValueError, match="has no words"):
        search(predictor, query)


def test_a_very_long_sentence_is_refused(predictor: MomentPredictor) -> None:
    with pytest.raises(ValueError, match="the sentence has 10000 characters, at most 1000 are read"):
        search(predictor, "word " * 2000)


@pytest.mark.parametrize("top_k", [0, -1, 10**9])
def test_a_number_of_answers_out_of_range_is_refused(predictor: MomentPredictor, top_k: int) -> None:
    with pytest.raises(ValueError, match=f"top_k must be between 1 and 100, got {top_k}"):
        search(predictor, QUERY, top_k)


def test_unknown_words_are_reported_and_do_not_stop_the_search(predictor: MomentPredictor) -> None:
    assert search(predictor, "the zebra spins").unknown_words == ("zebra",)
    assert len(search(predictor, "the zebra spins", 3).moments) == 3
    assert search(predictor, "zebra", 3).best_guess is not None


def test_many_survivors_are_localized_in_bounded_batches(small_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = (MomentPredictor.load(small_project.bundle, small_project.index, num_threads=1) for _ in range(2))
    rows: list[int] = []
    localize = parts._networks.localize

    def count(windows: CellWindows, text: EncodedText) -> list[ScoredSpans]:
        rows.append(len(windows.cells))
        return localize(windows, text)

    monkeypatch.setattr(parts._networks, "localize", count)
    monkeypatch.setattr("serving.predictor.ROWS_PER_RUN", 2)
    found = search(parts)
    assert rows == [2, 1]
    monkeypatch.undo()
    for one, other in zip(found.moments, search(whole).moments, strict=True):
        assert one[:3] == other[:3]
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_an_index_of_another_bundle_is_refused(small_project: Any, index: Path) -> None:
    path = index / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bundle_version": "other"}))
    with pytest.raises(ValueError, match="was made by the bundle other, but the bundle is .*; run: dvc repro --force index"):
        MomentPredictor.load(small_project.bundle, index)


def test_an_index_of_other_features_is_refused(small_project: Any, index: Path) -> None:
    path = index / "index.json"
    content = json.loads(path.read_text())
    content["fingerprint"]["identity"]["weights"] = "other"
    path.write_text(json.dumps(content))
    with pytest.raises(FingerprintMismatchError, match="the index .* was made with other features"):
        MomentPredictor.load(small_project.bundle, index)


@pytest.mark.parametrize("name", ["cells.npy", "videos.json", "clips.safetensors", "clips.json"])
def test_a_damaged_file_of_the_index_is_named(small_project: Any, index: Path, name: str) -> None:
    (path,) = index.rglob(name)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is damaged: sha256 .*; run: dvc repro --force index"):
        MomentPredictor.load(small_project.bundle, index)


def test_a_missing_file_of_the_index_is_named(small_project: Any, index: Path) -> None:
    next(index.rglob("videos.json")).unlink()
    with pytest.raises(FileNotFoundError, match=r"videos\.json is missing from the index; run: dvc repro --force index"):
        MomentPredictor.load(small_project.bundle, index)


@pytest.mark.parametrize("content", ["{}", "[]", '{"format_version": 2}'])
def test_an_index_of_another_format_is_refused(small_project: Any, index: Path, content: str) -> None:
    (index / "index.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"index\.json has format_version (None|2), this code reads 3; run: dvc repro --force index"
    ):
        MomentPredictor.load(small_project.bundle, index)


def test_a_folder_without_index_names_the_command(small_project: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no finished index; run: make repro, or for videos of your own: make index"):
        MomentPredictor.load(small_project.bundle, tmp_path)

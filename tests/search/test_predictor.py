"""The predictor: it agrees with the torch models, refuses invalid queries, and accepts only an index of its bundle."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from corpus.moments import RankedMoment, resample_clips
from corpus.store import FeatureStore, FingerprintMismatchError
from models.artefacts.checkpoint import load_localizer, load_retriever
from models.artefacts.encoder_files import load_encoders
from models.contracts.batches import TextFeatures
from models.contracts.inputs import load_clips, stack_videos
from search.answers import Answer, SearchQuery
from search.bundle import load_bundle
from search.clip_index import FaissClipIndex
from search.collection import load_collection
from search.networks import CellWindows, EncodedText
from search.predictor import MomentPredictor
from search.two_stage import ScoredSpans, find_survivors, rank_collection

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
    durations_s = {name: video.duration_s for name, video in collection.videos.items()}

    def embed(video_id: str) -> NDArray[np.float32]:
        clips = load_clips(store, retriever.streams, video_id, duration_s=durations_s[video_id])
        return retriever.embed_clips({name: torch.from_numpy(one).float() for name, one in clips.items()}).numpy()

    def localize_one(video_id: str) -> ScoredSpans:
        cells = {
            name: resample_clips(store.stream(name).load(video_id), localizer.num_cells).astype(np.float16)
            for name in localizer.streams
        }
        found = localizer(stack_videos([cells], [durations_s[video_id]], localizer.num_cells), TextFeatures(*text))
        return ScoredSpans(found.spans[0].numpy(), found.scores[0].numpy())

    grid = store.stream(retriever.streams[0])
    vectors = {video_id: embed(video_id) for video_id in grid.video_ids}
    clips = FaissClipIndex.build(vectors, clip_rate_hz=grid.clip_rate_hz, fingerprint=store.fingerprint)
    settings = load_bundle(project.bundle).manifest.search
    vector = retriever.embed_queries(text)[0].numpy()
    found = {window: localize_one(window.video_id) for window in find_survivors(vector, clips, settings).windows}
    return rank_collection(vector, clips, found, settings, top_k=top_k)


def search(predictor: MomentPredictor, query: str = QUERY, top_k: int = 5, **limits: Any) -> Answer:
    (answer,) = predictor.search(SearchQuery(query, top_k, **limits))
    return answer


@pytest.mark.parametrize("name", ["small_project", pytest.param("two_stream_project", marks=pytest.mark.slow)])
def test_a_search_gives_what_the_torch_models_give(name: str, request: pytest.FixtureRequest) -> None:
    project = request.getfixturevalue(name)
    expected = search_with_torch(project, QUERY, top_k=9)
    found = search(MomentPredictor.load(project.bundle, project.index, num_threads=1), top_k=9).moments
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
        rows.append(len(windows.starts_s))
        return localize(windows, text)

    monkeypatch.setattr(parts._networks, "localize", count)
    monkeypatch.setattr("search.predictor.ROWS_PER_RUN", 2)
    found = search(parts)
    assert rows == [2, 1]
    monkeypatch.undo()
    for one, other in zip(found.moments, search(whole).moments, strict=True):
        assert one[:3] == other[:3]
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_an_index_of_another_bundle_is_refused(small_project: Any, index: Path) -> None:
    path = index / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bundle_version": "other"}))
    with pytest.raises(ValueError, match="was made by the bundle other, but the bundle is .*; run: cuepoint repro --force index"):
        MomentPredictor.load(small_project.bundle, index)


def test_an_index_of_other_features_is_refused(small_project: Any, index: Path) -> None:
    path = index / "index.json"
    content = json.loads(path.read_text())
    content["fingerprint"]["identity"]["weights"] = "other"
    path.write_text(json.dumps(content))
    with pytest.raises(FingerprintMismatchError, match="the index .* was made with other features"):
        MomentPredictor.load(small_project.bundle, index)


def test_an_index_of_another_published_model_is_refused_by_name(small_project: Any, index: Path) -> None:
    path = index / "index.json"
    other = {"video": {"name": "openai/clip", "revision": "f" * 12}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"models": other}))
    with pytest.raises(ValueError, match=f"by openai/clip at {'f' * 12}, but the bundle has no published model; run: cuepoint"):
        MomentPredictor.load(small_project.bundle, index)


@pytest.mark.parametrize("name", ["cells-video.npy", "cells.json", "videos.json", "clips.safetensors", "clips.json"])
def test_a_damaged_file_of_the_index_is_named(small_project: Any, index: Path, name: str) -> None:
    (path,) = index.rglob(name)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is damaged: sha256 .*; run: cuepoint repro --force index"):
        MomentPredictor.load(small_project.bundle, index)


def test_a_missing_file_of_the_index_is_named(small_project: Any, index: Path) -> None:
    next(index.rglob("videos.json")).unlink()
    with pytest.raises(FileNotFoundError, match=r"videos\.json is missing from the index; run: cuepoint repro --force index"):
        MomentPredictor.load(small_project.bundle, index)


@pytest.mark.parametrize("content", ["{}", "[]", '{"format_version": 4}'])
def test_an_index_of_another_format_is_refused(small_project: Any, index: Path, content: str) -> None:
    (index / "index.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"index\.json has format_version (None|4), this code reads 5; run: cuepoint repro --force index"
    ):
        MomentPredictor.load(small_project.bundle, index)


def test_an_old_index_of_a_folder_names_the_command_that_rebuilds_it(small_project: Any, index: Path) -> None:
    (index / "index.json").write_text(json.dumps({"format_version": 4, "media_dir": "/my videos"}))
    with pytest.raises(ValueError, match=f"this code reads 5; run: cuepoint index '/my videos' --output {index}"):
        MomentPredictor.load(small_project.bundle, index)


def test_a_folder_without_index_names_the_command(small_project: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no finished index; run: make repro, or .*: cuepoint index FOLDER"):
        MomentPredictor.load(small_project.bundle, tmp_path)

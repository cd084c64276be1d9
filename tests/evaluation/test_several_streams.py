"""Models with two streams of different clip rates, each model in its own order, are searched and scored alike."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streams import write_store

from corpus.records import Corpus
from corpus.store import FeatureStore, Fingerprint
from corpus.windows import WindowRule
from evaluation.examiner import EvaluationInputs
from evaluation.predictions import TrainedModels, encode_text, load_models, open_windows, predict_moments
from evaluation.questions import prepare_questions
from evaluation.searching import open_split, search_split
from models.contracts.batches import InputDims, StreamDims
from models.localizers.tan2d import Tan2DParams
from models.retrievers.dual_encoder import DualEncoderParams
from search.params import SearchParams

PLACES, DIM = 4, 4
RATES_HZ = {"video": 2.0, "sound": 6.0}


@pytest.fixture
def corpus(make_corpus: Callable[..., Corpus]) -> Corpus:
    """Videos of whole seconds: their clips of both streams end at the same times."""
    found = make_corpus({"train": 1, "val": 1, "test": 4})
    videos = tuple(replace(video, duration_s=6.0) for video in found.videos)
    return replace(found, videos=videos)


@pytest.fixture
def models(world: EvaluationInputs, corpus: Corpus, tmp_path: Path) -> TrainedModels:
    """Untrained models; `sound` is `video` at one place, three times as often."""
    generator = np.random.default_rng(0)
    video = {one.video_id: generator.normal(size=(12, PLACES, DIM)).astype(np.float16) for one in corpus.videos}
    sound = {name: clips[:, :1].repeat(3, axis=0) for name, clips in video.items()}
    write_store(tmp_path, {"video": video, "sound": sound}, fingerprint=Fingerprint({}, {}), clip_rates_hz=RATES_HZ)
    dims = InputDims({"video": StreamDims(PLACES, DIM), "sound": StreamDims(1, DIM)}, text_dim=DIM)
    torch.manual_seed(0)
    retriever = DualEncoderParams(
        name="dual_encoder", streams=("video", "sound"), embedding_dim=8, hidden_dim=8, text_hidden_dim=8
    ).build(dims)
    localizer = Tan2DParams(
        name="tan2d", streams=("sound", "video"), num_cells=4, hidden_dim=4, num_layers=1, kernel_size=3
    ).build(dims)
    loaded = load_models(encoder_dir=world.encoder_dir, features_dir=world.features_dir, checkpoints_dir=world.checkpoints_dir)
    own: dict[str, Any] = {"store": FeatureStore(tmp_path), "retriever": retriever.eval(), "localizer": localizer.eval()}
    return replace(loaded, rule=WindowRule(2.0), **own)


@torch.no_grad()
def test_windows_are_the_same_seconds_in_both_streams(models: TrainedModels, corpus: Corpus) -> None:
    questions = prepare_questions(corpus, "test")
    videos = open_windows(models, questions)
    opened = open_split(models, questions, encode_text(models, questions))
    for video in questions.videos:
        windows = videos.windows[video.video_id]
        assert [window[:2] for window in windows] == [(6 * number, 6 * number + 12) for number in range(5)]  # clips of `sound`
        layout = opened.index.layout.windows[video.video_id]
        assert [tuple(window) for window in np.asarray(layout)[:, :2].tolist()] == [(2 * n, 2 * n + 4) for n in range(5)]
        for name in videos.list_ids(video.video_id):
            cells = videos.cells[name]
            np.testing.assert_allclose(cells["sound"][:, 0], cells["video"][:, 0], atol=1e-3)


@torch.no_grad()
def test_the_vectors_of_clips_are_those_of_both_streams(models: TrainedModels, corpus: Corpus) -> None:
    questions = prepare_questions(corpus, "test")
    opened = open_split(models, questions, encode_text(models, questions))
    video_id = questions.videos[0].video_id
    clips = torch.from_numpy(models.store.stream("video").load(video_id)).float()
    expected = models.retriever.embed_clips({"video": clips, "sound": clips[:, :1]}).numpy()
    scores = opened.index.clip_scores(opened.vectors[0], [video_id])[video_id]
    np.testing.assert_allclose(scores, expected @ opened.vectors[0], atol=1e-4)


@torch.no_grad()
def test_a_split_is_searched(models: TrainedModels, corpus: Corpus, search: SearchParams) -> None:
    questions = prepare_questions(corpus, "test")
    text = encode_text(models, questions)
    opened = open_split(models, questions, text)
    answers = search_split(models.localizer, opened, search, top_k=3).answers
    found = predict_moments(models.localizer, questions, text, opened.videos)
    assert len(answers) == len(questions) == len(found.scores)
    assert all(0 <= moment.start_s < moment.end_s <= 6.0 for moments in answers for moment in moments)

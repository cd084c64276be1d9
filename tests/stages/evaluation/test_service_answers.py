"""What is scored is what the service would answer."""

import json
from pathlib import Path

import numpy as np
import torch

from corpus.records import load_corpus
from models.exchange.inputs import predict_candidates, select_text
from serving.search import ScoredSpans, SearchSettings, find_survivors, rank_collection, rank_in_video
from stages.evaluate import EvaluationInputs
from stages.support.evaluation.predictions import (
    build_index,
    encode_text,
    load_models,
    load_split_cells,
    predict_moments,
    search_questions,
)
from stages.support.evaluation.questions import prepare_questions
from stages.support.params import SearchParams


def test_the_answers_are_those_of_the_service(world: EvaluationInputs, report_dir: Path, search: SearchParams) -> None:
    models = load_models(encoder_dir=world.encoder_dir, features_dir=world.features_dir, checkpoints_dir=world.checkpoints_dir)
    questions = prepare_questions(load_corpus(world.corpus_dir), "test")
    text, cells = encode_text(models, questions), load_split_cells(models, questions)
    found = predict_moments(models.localizer, questions, text, cells)
    rows = [json.loads(line) for line in (report_dir / "per_query.jsonl").read_text().splitlines()]
    settings = SearchSettings.model_validate(search.model_dump())
    for spans, scores, row in zip(found.spans, found.scores, rows, strict=True):
        served = rank_in_video(row["video_id"], ScoredSpans(spans, scores), settings, top_k=10)
        np.testing.assert_allclose([moment[1:] for moment in served], row["found"], atol=1e-3)


def test_the_collection_ranks_are_those_of_the_service_one_query_at_a_time(world: EvaluationInputs, search: SearchParams) -> None:
    models = load_models(encoder_dir=world.encoder_dir, features_dir=world.features_dir, checkpoints_dir=world.checkpoints_dir)
    questions = prepare_questions(load_corpus(world.corpus_dir), "test")
    text, cells = encode_text(models, questions), load_split_cells(models, questions)
    settings = SearchSettings.model_validate(search.model_dump())
    answers = search_questions(models, questions, text, cells, settings=settings, top_k=100)
    index, durations_s = build_index(models, questions), {video.video_id: video.duration_s for video in questions.videos}
    with torch.no_grad():
        vectors = models.retriever.embed_queries(text).numpy()
    for row in (0, 7, 15):
        survivors = find_survivors(vectors[row], index, settings)
        video_ids = [window.video_id for window in survivors]
        sentence = select_text(text, torch.full((len(video_ids),), row))
        found = predict_candidates(models.localizer, cells=cells, durations_s=durations_s, video_ids=video_ids, text=sentence)
        spans = [ScoredSpans(*one) for one in zip(found.spans, found.scores, strict=True)]
        alone = rank_collection(vectors[row], index, dict(zip(survivors, spans, strict=True)), settings, top_k=100)
        assert [moment.video_id for moment in answers[row]] == [moment.video_id for moment in alone]
        np.testing.assert_allclose([moment[1:] for moment in answers[row]], [moment[1:] for moment in alone], atol=1e-5)

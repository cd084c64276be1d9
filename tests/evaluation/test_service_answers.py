"""Scored answers equal those of the service."""

import json
from pathlib import Path

import numpy as np
import torch

from corpus.records import load_corpus
from evaluation.examiner import EvaluationInputs
from evaluation.predictions import encode_text, load_models, open_windows, predict_moments
from evaluation.questions import prepare_questions
from evaluation.searching import open_split, search_split
from models.contracts.inputs import select_text
from models.contracts.windows import predict_windows
from search.params import SearchParams
from search.two_stage import ScoredSpans, find_survivors, rank_collection, rank_in_video


def test_the_answers_are_those_of_the_service(world: EvaluationInputs, report_dir: Path, search: SearchParams) -> None:
    models = load_models(encoder_dir=world.encoder_dir, features_dir=world.features_dir, checkpoints_dir=world.checkpoints_dir)
    questions = prepare_questions(load_corpus(world.corpus_dir), "test")
    text, videos = encode_text(models, questions), open_windows(models, questions)
    found = predict_moments(models.localizer, questions, text, videos)
    rows = [json.loads(line) for line in (report_dir / "per_query.jsonl").read_text().splitlines()]
    settings = search
    for spans, scores, row in zip(found.spans, found.scores, rows, strict=True):
        served = rank_in_video(row["video_id"], ScoredSpans(spans, scores), settings, top_k=10)
        np.testing.assert_allclose([moment[1:] for moment in served], row["found"], atol=1e-3)


def test_the_collection_ranks_are_those_of_the_service_one_query_at_a_time(world: EvaluationInputs, search: SearchParams) -> None:
    models = load_models(encoder_dir=world.encoder_dir, features_dir=world.features_dir, checkpoints_dir=world.checkpoints_dir)
    questions = prepare_questions(load_corpus(world.corpus_dir), "test")
    settings = search
    opened = open_split(models, questions, encode_text(models, questions))
    answers = search_split(models.localizer, opened, settings, top_k=100).answers
    for row in (0, 7, 15):
        survivors = find_survivors(opened.vectors[row], opened.index, settings).windows
        sentence = select_text(opened.text, torch.full((len(survivors),), row))
        found = predict_windows(models.localizer, opened.videos, survivors, sentence)
        spans = [ScoredSpans(*one) for one in zip(found.spans, found.scores, strict=True)]
        alone = rank_collection(opened.vectors[row], opened.index, dict(zip(survivors, spans, strict=True)), settings, top_k=100)
        assert [moment.video_id for moment in answers[row]] == [moment.video_id for moment in alone]
        np.testing.assert_allclose([moment[1:] for moment in answers[row]], [moment[1:] for moment in alone], atol=1e-5)

"""Scores a trained role on the held-out split by the code and the convention of stage `evaluate`.

Letters: Q queries, K answers, M candidates, N cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corpus.moments import Floats
from corpus.records import TRAIN
from corpus.windows import WindowRule
from flows.bench.grid_localizer import GridLocalizer
from flows.bench.records import Scores, pack_iou, pack_videos
from models.exchange.batches import TextFeatures
from models.exchange.roles import Localizer, Retriever
from models.exchange.windows import WindowedVideos, cut_stored_videos
from models.metrics.collection import RANKS
from models.metrics.convention import Figures
from models.metrics.floors import build_constant_answers, build_whole_video_answers
from models.metrics.spans import RankedSpans
from models.metrics.tan2d import MEAN_IOU
from models.training.retriever import NUM_CELLS
from serving.search import ScoredSpans, SearchSettings, SurvivingVideo, fuse_scores
from stages.evaluate import build_scoring, rank_prior, require_queries
from stages.support.evaluation.collection_table import score_collection
from stages.support.evaluation.predictions import (
    TrainedModels,
    build_blind_windows,
    list_durations,
    predict_moments,
    rank_moments,
    swap_videos,
)
from stages.support.evaluation.questions import Questions, prepare_questions
from stages.support.evaluation.searching import OpenSplit, open_split, search_split
from stages.support.evaluation.tables import Scoring, flatten_estimates, round_figure, score_rows
from stages.support.params import EvaluateParams, SearchParams
from stages.support.role_training import TrainInputs, encode_texts, measure_longest

FigureGroup = Mapping[str, float | None]


@dataclass(frozen=True)
class Examination:
    """What trained roles are examined with: data, the split and the rules."""

    inputs: TrainInputs
    evaluate: EvaluateParams
    search: SearchParams

    def __post_init__(self) -> None:
        """Refuse a split without queries."""
        require_queries(self.inputs.corpus, self.evaluate.split)

    @cached_property
    def questions(self) -> Questions:
        """The queries of the split."""
        return prepare_questions(self.inputs.corpus, self.evaluate.split)

    @cached_property
    def training(self) -> Questions:
        """The queries of training: what the prior is learnt from."""
        return prepare_questions(self.inputs.corpus, TRAIN)

    @cached_property
    def text(self) -> TextFeatures:
        """The encoded sentences of the split."""
        return encode_texts(self.inputs, self.inputs.corpus.of_split(self.evaluate.split))

    def build_scoring(self, num_cells: int) -> Scoring:
        """Return the rules; chance draws from the spans of `num_cells` cells."""
        return build_scoring(self.evaluate, self.search, num_cells=num_cells, training=self.training)

    @cached_property
    def rule(self) -> WindowRule:
        """How longer videos than those of training are read."""
        return WindowRule(measure_longest(self.inputs.corpus))

    def open_windows(self, num_cells: int) -> WindowedVideos:
        """Return the split's videos as a localizer of this grid reads them."""
        return cut_stored_videos(self.inputs.store, list_durations(self.questions), num_cells, self.rule)


def score_localizer(localizer: Localizer, exam: Examination) -> Scores:
    """Score a localizer, and the same one where it looks at another video."""
    scoring, videos = exam.build_scoring(localizer.num_cells), exam.open_windows(localizer.num_cells)
    answers = _localize(localizer, exam, scoring, videos)
    others = {}
    if exam.questions.num_asked_videos > 1:
        swapped = swap_videos(exam.questions, videos, seed=scoring.seed)
        others["shuffled"] = _average(_compute_figures(_localize(localizer, exam, scoring, swapped), exam, scoring))
    return _summarise(answers, exam, scoring, others)


def score_floor(blind: Localizer, exam: Examination) -> Scores:
    """Score the text-only floor, and the floors that need no model."""
    scoring, questions = exam.build_scoring(blind.num_cells), exam.questions
    nothing = build_blind_windows(blind, exam.inputs.store, questions)
    answers = _localize(blind, exam, scoring, nothing)
    constant = {
        "prior": build_constant_answers(rank_prior(exam.training, scoring), questions.durations_s),
        "whole_video": build_whole_video_answers(questions.durations_s),
    }
    rows = score_rows(constant, questions, scoring)
    others = {name: _average(row.figures) for name, row in rows.items() if row.figures is not None}
    return _summarise(answers, exam, scoring, others)


def score_retriever(retriever: Retriever, exam: Examination) -> Scores:
    """Score a search of the whole split by the retriever alone, and its spans in the right video."""
    grid, inputs = GridLocalizer(NUM_CELLS), exam.inputs
    scoring = exam.build_scoring(NUM_CELLS)
    settings = SearchSettings.model_validate(exam.search.model_dump())
    models = TrainedModels(inputs.encoders, inputs.store, retriever, localizer=grid, blind=grid, rule=exam.rule)
    opened = open_split(models, exam.questions, exam.text)
    found = search_split(grid, opened, settings, top_k=max(RANKS)).answers
    collection = score_collection(found, exam.questions, scoring, moments_per_video=settings.moments_per_video).summary
    candidates = _score_grid(opened, predict_moments(grid, exam.questions, exam.text, opened.videos), settings)
    return _summarise(scoring.convention.rank(candidates), exam, scoring, {"collection": collection})


def _score_grid(opened: OpenSplit, grid: RankedSpans, settings: SearchSettings) -> RankedSpans:
    """Score every span of the right video by its clips: spans (Q, M, 2) -> scores (Q, M)."""
    scores, index = np.zeros(grid.scores.shape), opened.index
    for row, video_id in enumerate(opened.questions.video_ids):
        candidates = ScoredSpans(grid.spans[row], grid.scores[row])
        clips = index.clip_scores(opened.vectors[row], [video_id])[video_id]
        best_clips = np.full(len(candidates.scores), clips.max())
        video = SurvivingVideo(video_id, clips, index.get_clip_rate(video_id), candidates, best_clips)
        scores[row] = fuse_scores([video], settings)[video_id].scores
    return grid._replace(scores=scores)


def _localize(localizer: Localizer, exam: Examination, scoring: Scoring, videos: WindowedVideos) -> RankedSpans:
    return rank_moments(localizer, exam.questions, exam.text, videos, scoring.convention).widen()


def _compute_figures(answers: RankedSpans, exam: Examination, scoring: Scoring) -> Figures:
    return scoring.convention.compute_figures(answers, exam.questions.truth)


def _average(figures: Figures) -> FigureGroup:
    return {name: round_figure(float(values.mean())) for name, values in figures.items()}


def _summarise(answers: RankedSpans, exam: Examination, scoring: Scoring, others: Mapping[str, FigureGroup]) -> Scores:
    figures = _compute_figures(answers.widen(), exam, scoring)
    first_iou: Floats = figures[MEAN_IOU]
    return Scores(
        split=exam.questions.split,
        queries=len(exam.questions),
        videos=exam.questions.num_asked_videos,
        figures=flatten_estimates(scoring.estimate(figures, exam.questions)),
        others=others,
        first_iou=pack_iou(first_iou),
        video_index=pack_videos(exam.questions.video_index),
    )

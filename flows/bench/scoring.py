"""Scores a trained role on the held-out split with the code and the convention of stage `evaluate`.

Letters: Q queries, K answers, M candidates, N cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corpus.moments import Floats
from corpus.records import TRAIN
from corpus.windows import WindowRule
from evaluation.examiner import EvaluationPlan, build_scoring, rank_prior, require_queries
from evaluation.predictions import TrainedModels, build_blind_windows, list_durations, predict_moments, rank_moments, swap_videos
from evaluation.questions import Questions, prepare_questions
from evaluation.searching import OpenSplit, open_split, search_split
from evaluation.tables.collection_table import score_collection
from evaluation.tables.scores import Scoring, flatten_estimates, round_figure, score_rows
from flows.bench.grid_localizer import GridLocalizer
from flows.bench.records import Scores, pack_iou, pack_videos
from models.contracts.batches import TextFeatures
from models.contracts.roles import Localizer, Retriever
from models.contracts.windows import WindowedVideos, cut_stored_videos
from models.metrics.collection import RANKS
from models.metrics.convention import Figures
from models.metrics.floors import build_constant_answers, build_whole_video_answers
from models.metrics.spans import RankedSpans
from models.metrics.tan2d import MEAN_IOU
from models.training.retriever import NUM_CELLS
from pipeline.training.inputs import TrainInputs, encode_texts, measure_longest
from search.params import SearchParams
from search.two_stage import ScoredSpans, SurvivingVideo, fuse_scores

FigureGroup = Mapping[str, float | None]


@dataclass(frozen=True)
class Examination:
    """Data, split and rules for the scoring of a trained role."""

    inputs: TrainInputs
    plan: EvaluationPlan

    def __post_init__(self) -> None:
        """Refuse a split without queries."""
        require_queries(self.inputs.corpus, self.plan.split)

    @cached_property
    def questions(self) -> Questions:
        """The queries of the split."""
        return prepare_questions(self.inputs.corpus, self.plan.split)

    @cached_property
    def training(self) -> Questions:
        """The queries of the training split, from which the prior is learnt."""
        return prepare_questions(self.inputs.corpus, TRAIN)

    @cached_property
    def text(self) -> TextFeatures:
        """The encoded sentences of the split."""
        return encode_texts(self.inputs, self.inputs.corpus.of_split(self.plan.split))

    def build_scoring(self, num_cells: int) -> Scoring:
        """Return the rules; chance draws from the spans of `num_cells` cells."""
        return build_scoring(self.plan, num_cells=num_cells, training=self.training)

    @cached_property
    def rule(self) -> WindowRule:
        """The rule for reading videos that are longer than those of training."""
        return WindowRule(measure_longest(self.inputs.corpus))

    def open_windows(self, localizer: Localizer) -> WindowedVideos:
        """Return the split's videos as a localizer reads them."""
        durations_s = list_durations(self.questions)
        return cut_stored_videos(self.inputs.store, localizer.streams, durations_s, localizer.num_cells, self.rule)


def score_localizer(localizer: Localizer, exam: Examination) -> Scores:
    """Score a localizer, and the same localizer on shuffled videos."""
    scoring, videos = exam.build_scoring(localizer.num_cells), exam.open_windows(localizer)
    answers = _localize(localizer, exam, scoring, videos)
    others = {}
    if exam.questions.num_asked_videos > 1:
        swapped = swap_videos(exam.questions, videos, seed=scoring.seed)
        others["shuffled"] = _average(_compute_figures(_localize(localizer, exam, scoring, swapped), exam, scoring))
    return _summarise(answers, exam, scoring, others)


def score_floor(blind: Localizer, exam: Examination) -> Scores:
    """Score the text-only floor, and the floors that need no model."""
    scoring, questions = exam.build_scoring(blind.num_cells), exam.questions
    nothing = build_blind_windows(blind, questions)
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
    grid, inputs = GridLocalizer(retriever.streams, NUM_CELLS), exam.inputs
    scoring = exam.build_scoring(NUM_CELLS)
    settings = exam.plan.search
    models = TrainedModels(inputs.encoders, inputs.store, retriever, localizer=grid, blind=grid, rule=exam.rule)
    opened = open_split(models, exam.questions, exam.text)
    found = search_split(grid, opened, settings, top_k=max(RANKS)).answers
    collection = score_collection(found, exam.questions, scoring, moments_per_video=settings.moments_per_video).summary
    candidates = _score_grid(opened, predict_moments(grid, exam.questions, exam.text, opened.videos), settings)
    return _summarise(scoring.convention.rank(candidates), exam, scoring, {"collection": collection})


def _score_grid(opened: OpenSplit, grid: RankedSpans, settings: SearchParams) -> RankedSpans:
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

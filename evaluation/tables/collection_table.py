"""Scores a search over a whole split: recall and median rank with intervals, against chance and against shuffled sentences.

Letters: Q queries, K answers, V videos, M cells.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from corpus.moments import Floats, Ints, RankedMoment
from evaluation.questions import Questions, build_collection_truth
from evaluation.tables.scores import Scoring, flatten_estimates
from models.metrics.collection import (
    CollectionAnswers,
    CollectionTruth,
    compute_collection_chance,
    compute_collection_figures,
    compute_collection_hits,
    compute_first_ranks,
    compute_right_video,
)
from models.metrics.convention import CHANCE_DRAWS, Figures
from models.metrics.floors import draw_derangement
from models.metrics.intervals import estimate_median
from models.metrics.ndcg import compute_ndcg
from models.metrics.spans import PaddedSpans, compute_best_iou

IOU_THRESHOLD = 0.5
NDCG = "NDCG10"  # of the first ten answers; every true moment is equally relevant
_NDCG_RANK = 10


class CollectionScores(NamedTuple):
    """The rank of each query's first right answer, and the split's figures."""

    ranks: Floats  # (Q,), infinity if no answer is right
    figures: Figures
    summary: dict[str, Any]  # the group `collection` of `summary.json`


def score_collection(
    answers: Sequence[Sequence[RankedMoment]], questions: Questions, scoring: Scoring, *, moments_per_video: int
) -> CollectionScores:
    """Score the ranked answers of every query against all moments of the split where it is true."""
    truth, found = build_collection_truth(questions), _to_arrays(answers, questions)
    ranks = _rank_hits(found, truth, scoring)
    right = {"right_video": compute_right_video(found, truth)}
    figures = {**compute_collection_figures(ranks), **right, NDCG: _compute_ndcg(found, truth, scoring)}
    ours = scoring.estimate(figures, questions)
    median = estimate_median(ranks, questions.video_index, num_samples=scoring.bootstrap_samples, seed=scoring.seed)
    hits = _count_right_cells(questions, truth, scoring)
    chance = compute_collection_chance(hits, num_candidates=len(scoring.unit_cells), num_kept=moments_per_video)
    summary = flatten_estimates(ours | {"median_rank": median})
    chance = {**chance, NDCG: _draw_ndcg(truth, questions, scoring)}
    summary |= _prefix_means("chance", chance) | _score_shuffled(found, truth, questions, scoring)
    return CollectionScores(ranks, figures, {"videos": len(questions.videos)} | summary)


def _compute_ndcg(found: CollectionAnswers, truth: CollectionTruth, scoring: Scoring) -> Floats:
    relevance = np.ones(truth.videos.shape)
    rule = scoring.convention.iou_rule
    return compute_ndcg(found, truth, relevance, rank=_NDCG_RANK, threshold=IOU_THRESHOLD, rule=rule)


def _draw_ndcg(truth: CollectionTruth, questions: Questions, scoring: Scoring) -> Floats:
    """Return the mean NDCG of answers drawn uniformly, with replacement, from the cells of all videos: (Q,)."""
    rng, shape = np.random.default_rng(scoring.seed), (len(questions), _NDCG_RANK)
    durations_s = np.array([video.duration_s for video in questions.videos])
    total = np.zeros(len(questions))
    for _ in range(CHANCE_DRAWS):
        videos, cells = rng.integers(len(durations_s), size=shape), rng.integers(len(scoring.unit_cells), size=shape)
        spans = scoring.unit_cells[cells] * durations_s[videos][..., None]
        total += _compute_ndcg(CollectionAnswers(videos, spans), truth, scoring)
    return total / CHANCE_DRAWS


def _to_arrays(answers: Sequence[Sequence[RankedMoment]], questions: Questions) -> CollectionAnswers:
    position = {video.video_id: index for index, video in enumerate(questions.videos)}
    width = max([1, *map(len, answers)])
    videos, spans = np.full((len(answers), width), -1, dtype=np.int64), np.zeros((len(answers), width, 2))
    for row, of_query in enumerate(answers):
        for place, moment in enumerate(of_query):
            videos[row, place] = position[moment.video_id]
            spans[row, place] = moment.start_s, moment.end_s
    return CollectionAnswers(videos, spans)


def _rank_hits(found: CollectionAnswers, truth: CollectionTruth, scoring: Scoring) -> Floats:
    hits = compute_collection_hits(found, truth, threshold=IOU_THRESHOLD, rule=scoring.convention.iou_rule)
    return compute_first_ranks(hits)


def _count_right_cells(questions: Questions, truth: CollectionTruth, scoring: Scoring) -> Ints:
    """Count the cells of each video's grid that are right for each query: (Q, V)."""
    counts = np.zeros((len(questions), len(questions.videos)), dtype=np.int64)
    durations_s = np.array([video.duration_s for video in questions.videos])
    for row, videos in enumerate(truth.videos):
        for video in np.unique(videos[videos >= 0]):
            of_video = (videos == video)[None]
            cells = scoring.unit_cells[None] * durations_s[video]
            iou = compute_best_iou(cells, PaddedSpans(truth.spans[row][None], of_video))
            counts[row, video] = scoring.convention.iou_rule.is_hit(iou, IOU_THRESHOLD).sum()
    return counts


def _score_shuffled(found: CollectionAnswers, truth: CollectionTruth, questions: Questions, scoring: Scoring) -> dict[str, Any]:
    """Score the answers to a sentence about another video, which shows what the search finds for any sentence."""
    asked, video_of_query = np.unique(questions.video_index, return_inverse=True)
    if len(asked) < 2:
        return {"shuffled_R1": None, "shuffled_R10": None, "shuffled_R100": None, f"shuffled_{NDCG}": None}
    others = draw_derangement(len(asked), scoring.seed)
    queries_of = [np.flatnonzero(video_of_query == video) for video in range(len(asked))]
    rows = np.zeros(len(questions), dtype=np.int64)
    for video, own in enumerate(queries_of):
        rows[own] = np.resize(queries_of[others[video]], len(own))
    swapped = CollectionAnswers(found.videos[rows], found.spans[rows])
    figures = {**compute_collection_figures(_rank_hits(swapped, truth, scoring)), NDCG: _compute_ndcg(swapped, truth, scoring)}
    return _prefix_means("shuffled", figures)


def _prefix_means(prefix: str, figures: Figures) -> dict[str, Any]:
    return {f"{prefix}_{name}": round(float(values.mean()), 6) for name, values in figures.items()}

"""Answers of both sides to the frozen queries, by the predictor that also serves, and their figures.

Letters: Q queries, S searched queries, K answers.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from corpus.moments import RankedMoment
from corpus.records import Corpus, Video
from evaluation.examiner import ANSWERS_KEPT, IOU_RULE
from evaluation.gate.evidence import Frozen, Side, digest_queries
from evaluation.gate.params import GateParams
from evaluation.questions import Questions, build_collection_truth, prepare_questions
from evaluation.tables.slices import list_slices
from models.metrics.collection import (
    CollectionAnswers,
    compute_collection_figures,
    compute_collection_hits,
    compute_first_ranks,
)
from models.metrics.convention import Figures
from models.metrics.spans import RankedSpans
from models.metrics.tan2d import Tan2dConvention
from search.answers import FoundMoment, SearchQuery
from search.indexed_video import IndexedVideo
from search.indexing.video_indexer import VideoIndexer
from search.predictor import MomentPredictor

_COLLECTION_IOU = 0.5
_NUM_THREADS = 1  # so that times of two sides compare


class Contender(NamedTuple):
    """A bundle with its index, and the bytes of its bento."""

    name: str
    bundle_dir: Path
    index_dir: Path
    size_bytes: int


class _Answers(NamedTuple):
    """What one side answered."""

    localized: list[Sequence[FoundMoment]]  # of every query in its own video, best first
    searched: list[Sequence[FoundMoment]]  # of the searched queries over the split
    seconds: list[float]  # of each search


def freeze(corpus: Corpus, params: GateParams) -> tuple[Questions, Frozen]:
    """Collect the queries of the gate.

    Raises:
        ValueError: when the split has no queries, with the remedy.
    """
    questions = prepare_questions(corpus, params.split)
    if not len(questions):
        raise ValueError(
            f"the corpus has no queries in the split {params.split!r}, on which challengers are judged; give rows of the "
            f'annotations the "split" {params.split!r}, or set ingest.gate_share in params.yaml, then run: dvc repro'
        )
    slices = tuple(list_slices(questions, frozenset()))
    count = min(params.searches, len(questions))
    searched = np.unique(np.linspace(0, len(questions) - 1, count).round().astype(np.int64))
    digest = digest_queries(questions.queries, {video.video_id: video.sha256 for video in questions.videos})
    qids = tuple(query.qid for query in questions.queries)
    return questions, Frozen(qids, questions.video_index, slices, searched, digest)


def answer(contenders: Sequence[Contender], questions: Questions, frozen: Frozen, *, media_dir: Path) -> list[Side]:
    """Let every contender answer every query, and score the answers by one convention.

    The contenders take turns, query by query, so that other work of the machine slows all of them alike. A contender
    encodes the videos of the split that its index lacks, or has with other bytes.

    Raises:
        ValueError: when a bundle or an index is damaged, or a video has no file to encode.
    """
    predictors = [_open(one, questions.videos, media_dir) for one in contenders]
    answers = [_Answers([], [], []) for _ in contenders]
    videos, searched = frozenset(video.video_id for video in questions.videos), set(frozen.searched.tolist())
    for row, query in enumerate(tqdm(questions.queries, desc="gate", unit="query", disable=None)):
        for predictor, given in zip(predictors, answers, strict=True):
            found = predictor.localize(query.text, query.video_id, top_k=ANSWERS_KEPT)
            given.localized.append(found.timeline.candidates[:ANSWERS_KEPT] if found.timeline else ())
            if row in searched:
                wanted = SearchQuery(query.text, ANSWERS_KEPT, video_ids=videos, min_confidence=0.0)
                started = time.perf_counter()
                given.searched.append(predictor.search(wanted)[0].moments)
                given.seconds.append(time.perf_counter() - started)
    return [_score(one, given, questions, frozen) for one, given in zip(contenders, answers, strict=True)]


def _open(contender: Contender, videos: Sequence[Video], media_dir: Path) -> MomentPredictor:
    try:
        predictor = MomentPredictor.load(contender.bundle_dir, contender.index_dir, num_threads=_NUM_THREADS)
    except ValueError as error:
        raise ValueError(f"the {contender.name} cannot answer with this code: {error}") from error
    indexer = VideoIndexer(predictor.bundle, num_threads=_NUM_THREADS)
    for video in videos:
        known = predictor.collection.videos.get(video.video_id)
        if known is not None and known.sha256 == video.sha256:
            continue
        encoded = indexer.encode_file(video.locate(media_dir), report=lambda _: None)
        if known is not None:
            predictor.remove_video(video.video_id)
        indexed = IndexedVideo(video.video_id, video.path or "", video.duration_s, video.split, video.sha256)
        predictor.add_video(indexed, encoded)
    return predictor


def _score(contender: Contender, answers: _Answers, questions: Questions, frozen: Frozen) -> Side:
    latency_ms = 1000 * float(np.median(answers.seconds)) if answers.seconds else None
    localized = score_localized(answers.localized, questions)
    searched = score_searched(answers.searched, questions.take(frozen.searched))
    return Side(contender.name, localized, latency_ms, contender.size_bytes, searched)


def score_localized(answers: Sequence[Sequence[FoundMoment]], questions: Questions) -> Figures:
    """Return the figures of each query in its own video; NaN where an answer holds a number that is not finite."""
    found = _pad(answers)
    convention = Tan2dConvention(iou_rule=IOU_RULE, max_iou=1.0, max_kept=ANSWERS_KEPT)  # the answers are suppressed already
    figures = convention.compute_figures(found, questions.truth)
    broken = _find_broken(answers)
    return {name: np.where(broken, np.nan, values) for name, values in figures.items()}


def score_searched(answers: Sequence[Sequence[FoundMoment | RankedMoment]], questions: Questions) -> Figures:
    """Return R@1 and R@10 of each searched query over all videos of the split, NaN as in `score_localized`."""
    position = {video.video_id: index for index, video in enumerate(questions.videos)}
    found = _pad(answers)
    videos = np.full(found.valid.shape, -1, dtype=np.int64)
    for row, of_query in enumerate(answers):
        videos[row, : len(of_query)] = [position[moment.video_id] for moment in of_query]
    hits = compute_collection_hits(
        CollectionAnswers(videos, found.spans), build_collection_truth(questions), threshold=_COLLECTION_IOU, rule=IOU_RULE
    )
    figures = compute_collection_figures(compute_first_ranks(hits))
    kept = {name: figures[name] for name in ("R1", "R10")}
    return {name: np.where(_find_broken(answers), np.nan, values) for name, values in kept.items()}


def _pad(answers: Sequence[Sequence[FoundMoment | RankedMoment]]) -> RankedSpans:
    """Return answers as arrays (Q, K); answers that are not finite become empty spans at 0."""
    spans = np.zeros((len(answers), ANSWERS_KEPT, 2))
    scores = np.zeros(spans.shape[:2])
    valid = np.zeros(spans.shape[:2], dtype=bool)
    for row, of_query in enumerate(answers):
        for column, moment in enumerate(of_query):
            spans[row, column] = np.nan_to_num([moment.start_s, moment.end_s])
            scores[row, column] = np.nan_to_num(moment.score)
            valid[row, column] = True
    return RankedSpans(spans, scores, valid)


def _find_broken(answers: Sequence[Sequence[FoundMoment | RankedMoment]]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Tell for each query whether an answer holds a number that is not finite."""
    return np.array([not np.isfinite([one[1:4] for one in of_query]).all() for of_query in answers], dtype=bool)

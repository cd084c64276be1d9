"""Search of a whole split like in the service, once over all videos and once without those where the query is true.

Letters: Q queries, S clips, P places, D width, E embedding width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from corpus.alignment import match_window
from corpus.moments import RankedMoment, compute_clip_rate
from corpus.records import Video
from corpus.windows import Window, WindowId
from evaluation.predictions import TrainedModels, open_windows
from evaluation.questions import Questions
from models.contracts.batches import TextFeatures
from models.contracts.inputs import encode_queries, load_clips, select_text
from models.contracts.roles import Localizer
from models.contracts.windows import WindowedVideos, predict_windows
from search.calibration import Calibrations, Evidence
from search.clip_index import ClipIndex, FaissClipIndex
from search.null_sentences import choose_sentences
from search.params import SearchParams
from search.presence import CollectionPresence
from search.two_stage import ScoredSpans, find_survivors, rank_collection

_QUERIES_PER_CHUNK = 16  # bounds the candidates held at once
_CLIPS_PER_RUN = 4096  # embedded at once, by the retriever
_UNLABELLED = Calibrations(search=None, localize=None, missing={})


@dataclass(frozen=True)
class OpenSplit:
    """A split that is ready to be searched."""

    questions: Questions
    text: TextFeatures
    videos: WindowedVideos
    index: ClipIndex
    vectors: NDArray[np.float32]  # (Q, E) of the queries
    presence: CollectionPresence  # by the bank of sentences, without labels


class Trial(NamedTuple):
    """Evidence of an answer's best moment about its existence."""

    evidence: Evidence
    unlabelled: float | None  # the confidence by the bank of sentences; None if the models know too few of them


class Searched(NamedTuple):
    """Results of the searches for each query. A trial belongs to the best moment, `None` without moments."""

    answers: list[list[RankedMoment]]  # best first
    present: list[Trial | None]
    absent: list[Trial | None]  # of the search without the videos where the query is true
    others: list[list[RankedMoment]]  # the answers of these searches


@torch.no_grad()
def open_split(models: TrainedModels, questions: Questions, text: TextFeatures) -> OpenSplit:
    """Index the clips of every video of a split and embed its queries."""
    videos = open_windows(models, questions)
    vectors = models.retriever.embed_queries(text).numpy()
    index = build_index(models, questions, videos)
    presence = CollectionPresence(index, _UNLABELLED, is_labelled=False, embed_bank=partial(_embed_bank, models))
    return OpenSplit(questions, text, videos, index, vectors, presence)


@torch.no_grad()
def _embed_bank(models: TrainedModels) -> NDArray[np.float32]:
    """Return the vectors (B, E) of the bank's sentences that the models understand."""
    texts = choose_sentences(models.encoders.tokenizer)
    if not texts:
        return np.zeros((0, 1), dtype=np.float32)
    vectors: NDArray[np.float32] = models.retriever.embed_queries(
        encode_queries(models.encoders.text, models.encoders.tokenizer, texts)
    ).numpy()
    return vectors


@torch.no_grad()
def build_index(models: TrainedModels, questions: Questions, videos: WindowedVideos) -> ClipIndex:
    """Index the clips of every video of a split: those of the retriever's first stream, in the localizer's windows."""
    streams = {*models.retriever.streams, *models.localizer.streams}
    stream = models.store.stream(models.retriever.streams[0])
    vectors: dict[str, NDArray[np.float32]] = {}
    rates_hz: dict[str, float] = {}
    windows: dict[str, tuple[Window, ...]] = {}
    for video in tqdm(questions.videos, desc="embed clips", unit="video", disable=None, leave=False):
        vectors[video.video_id] = _embed_clips(models, video)
        num_clips = len(vectors[video.video_id])
        rates_hz[video.video_id] = compute_clip_rate(stream.clip_rate_hz, num_clips=num_clips, duration_s=video.duration_s)
        windows[video.video_id] = tuple(
            match_window(window, num_clips=num_clips, duration_s=video.duration_s, clip_rate_hz=stream.clip_rate_hz)
            for window in videos.windows[video.video_id]
        )
    fingerprint = models.store.combine_fingerprint(streams)
    return FaissClipIndex.build(vectors, clip_rate_hz=rates_hz, fingerprint=fingerprint, windows=windows)


def _embed_clips(models: TrainedModels, video: Video) -> NDArray[np.float32]:
    """Return the vectors of a video's clips, (S, E)."""
    clips = load_clips(models.store, models.retriever.streams, video.video_id, duration_s=video.duration_s)
    parts = []
    for start in range(0, len(next(iter(clips.values()))), _CLIPS_PER_RUN):
        run = {name: torch.from_numpy(features[start : start + _CLIPS_PER_RUN]).float() for name, features in clips.items()}
        parts.append(models.retriever.embed_clips(run))
    vectors: NDArray[np.float32] = torch.cat(parts).numpy()
    return vectors


def search_split(
    localizer: Localizer, split: OpenSplit, settings: SearchParams, *, top_k: int, others_top_k: int = 1
) -> Searched:
    """Search the whole split for every query, and once more without the videos where it is true."""
    searched, vectors, index = Searched([], [], [], []), split.vectors, split.index
    elsewhere = list_videos_without(split.questions)
    with tqdm(total=len(vectors), desc=f"search {split.questions.split}", unit="query", disable=None, leave=False) as bar:
        for start in range(0, len(vectors), _QUERIES_PER_CHUNK):
            rows = range(start, min(start + _QUERIES_PER_CHUNK, len(vectors)))
            present = {row: find_survivors(vectors[row], index, settings) for row in rows}
            absent = {row: find_survivors(vectors[row], index, settings, video_ids=elsewhere[row]) for row in rows}
            wanted = {row: list(dict.fromkeys([*present[row].windows, *absent[row].windows])) for row in rows}
            found = _localize_windows(localizer, split, wanted)
            for row in rows:
                rank = partial(rank_collection, vectors[row], index, settings=settings)
                answers = rank(_choose(found[row], present[row].windows), top_k=top_k)
                others = rank(_choose(found[row], absent[row].windows), top_k=others_top_k)
                searched.answers.append(answers)
                searched.others.append(others)
                searched.present.append(_try(split, row, answers, present[row].clip_score, None))
                searched.absent.append(_try(split, row, others, absent[row].clip_score, elsewhere[row]))
            bar.update(len(rows))
    return searched


def list_videos_without(questions: Questions) -> list[list[str]]:
    """Return for each query the videos of the split where it is not true."""
    true_in = [{query.video_id, *query.elsewhere} for query in questions.queries]
    return [[video.video_id for video in questions.videos if video.video_id not in known] for known in true_in]


def _try(
    split: OpenSplit, row: int, moments: Sequence[RankedMoment], clip_score: float, video_ids: Sequence[str] | None
) -> Trial | None:
    if not moments:
        return None
    said = split.presence.assess_search(moments[:1], split.vectors[row], clip_score=clip_score, video_ids=video_ids)
    return Trial(Evidence(moments[0].score, clip_score), None if said is None else float(said.confidences[0]))


def _choose(found: Mapping[WindowId, ScoredSpans], windows: Sequence[WindowId]) -> dict[WindowId, ScoredSpans]:
    return {window: found[window] for window in windows}


def _localize_windows(
    localizer: Localizer, split: OpenSplit, wanted: Mapping[int, Sequence[WindowId]]
) -> dict[int, dict[WindowId, ScoredSpans]]:
    """Localize each chosen query in its wanted windows, in large batches."""
    pairs = [(row, window) for row, windows in wanted.items() for window in windows]
    text = select_text(split.text, torch.tensor([row for row, _ in pairs]))
    found = predict_windows(localizer, split.videos, [window for _, window in pairs], text)
    by_query: dict[int, dict[WindowId, ScoredSpans]] = {row: {} for row in wanted}
    for (row, window), spans, scores, valid in zip(pairs, *found, strict=True):
        by_query[row][window] = ScoredSpans(spans[valid], scores[valid])
    return by_query

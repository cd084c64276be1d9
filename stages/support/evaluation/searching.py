"""Searches a whole split as the service does, and once more without what is asked for.

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

from corpus.calibration import Evidence
from corpus.moments import RankedMoment, compute_clip_rate
from corpus.windows import WindowId
from models.exchange.batches import TextFeatures
from models.exchange.inputs import select_text
from models.exchange.roles import Localizer
from models.exchange.windows import WindowedVideos, predict_windows
from serving.clip_index import ClipIndex, FaissClipIndex
from serving.search import ScoredSpans, SearchSettings, find_survivors, rank_collection
from stages.support.evaluation.predictions import TrainedModels, open_windows
from stages.support.evaluation.questions import Questions

_QUERIES_PER_CHUNK = 16  # bounds the candidates held at once
_CLIPS_PER_RUN = 4096  # embedded at once, by the retriever


@dataclass(frozen=True)
class OpenSplit:
    """A split that can be searched."""

    questions: Questions
    text: TextFeatures
    videos: WindowedVideos
    index: ClipIndex
    vectors: NDArray[np.float32]  # (Q, E) of the queries


class Searched(NamedTuple):
    """What the searches for each query gave; evidence is of the best moment, `None` where there is no moment."""

    answers: list[list[RankedMoment]]  # best first
    present: list[Evidence | None]
    absent: list[Evidence | None]  # with every video left out where the query is true


@torch.no_grad()
def open_split(models: TrainedModels, questions: Questions, text: TextFeatures) -> OpenSplit:
    """Index the clips of every video of a split and embed its queries."""
    videos = open_windows(models, questions)
    vectors = models.retriever.embed_queries(text).numpy()
    return OpenSplit(questions, text, videos, build_index(models, questions, videos), vectors)


@torch.no_grad()
def build_index(models: TrainedModels, questions: Questions, videos: WindowedVideos) -> ClipIndex:
    """Index the clips of every video of a split."""
    vectors: dict[str, NDArray[np.float32]] = {}
    rates_hz: dict[str, float] = {}
    for video in tqdm(questions.videos, desc="embed clips", unit="video", disable=None, leave=False):
        features = torch.from_numpy(models.store.load(video.video_id))  # (S, P, D)
        parts = [models.retriever.embed_clips(part.float()) for part in torch.split(features, _CLIPS_PER_RUN)]
        vectors[video.video_id] = torch.cat(parts).numpy()
        stated_hz = models.store.clip_rate_hz
        rates_hz[video.video_id] = compute_clip_rate(stated_hz, num_clips=len(features), duration_s=video.duration_s)
    return FaissClipIndex.build(vectors, clip_rate_hz=rates_hz, fingerprint=models.store.fingerprint, windows=videos.windows)


def search_split(localizer: Localizer, split: OpenSplit, settings: SearchSettings, *, top_k: int) -> Searched:
    """Search the whole split for every query, and once more without the videos where it is true."""
    searched, vectors, index = Searched([], [], []), split.vectors, split.index
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
                others = rank(_choose(found[row], absent[row].windows), top_k=1)
                searched.answers.append(answers)
                searched.present.append(_find_evidence(answers, present[row].clip_score))
                searched.absent.append(_find_evidence(others, absent[row].clip_score))
            bar.update(len(rows))
    return searched


def list_videos_without(questions: Questions) -> list[list[str]]:
    """Return the videos of the split where each query is not true."""
    true_in = [{query.video_id, *query.elsewhere} for query in questions.queries]
    return [[video.video_id for video in questions.videos if video.video_id not in known] for known in true_in]


def _find_evidence(moments: Sequence[RankedMoment], clip_score: float) -> Evidence | None:
    return Evidence(moments[0].score, clip_score) if moments else None


def _choose(found: Mapping[WindowId, ScoredSpans], windows: Sequence[WindowId]) -> dict[WindowId, ScoredSpans]:
    return {window: found[window] for window in windows}


def _localize_windows(
    localizer: Localizer, split: OpenSplit, wanted: Mapping[int, Sequence[WindowId]]
) -> dict[int, dict[WindowId, ScoredSpans]]:
    """Localize each of the chosen queries in the windows that it asks for, in large batches."""
    pairs = [(row, window) for row, windows in wanted.items() for window in windows]
    text = select_text(split.text, torch.tensor([row for row, _ in pairs]))
    found = predict_windows(localizer, split.videos, [window for _, window in pairs], text)
    by_query: dict[int, dict[WindowId, ScoredSpans]] = {row: {} for row in wanted}
    for (row, window), spans, scores, valid in zip(pairs, *found, strict=True):
        by_query[row][window] = ScoredSpans(spans[valid], scores[valid])
    return by_query

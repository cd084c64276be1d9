"""Runs the trained models over the questions of a split: candidates in the given video, answers over the collection.

Letters: Q queries, M candidates of a query, E embedding width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from corpus.moments import RankedMoment, compute_clip_rate
from corpus.store import FeatureStore, Half, require_same_fingerprint
from models.exchange.batches import TextFeatures
from models.exchange.checkpoint import CheckpointConfig, load_blind, load_localizer, load_retriever
from models.exchange.encoder_files import Encoders, load_encoders
from models.exchange.inputs import Predictions, encode_queries, load_cells, predict_candidates, select_text
from models.exchange.roles import Localizer, Retriever
from models.metrics.floors import draw_derangement
from models.metrics.spans import RankedSpans
from serving.clip_index import ClipIndex, WindowId
from serving.search import ScoredSpans, SearchSettings, find_survivors, rank_collection
from stages.support.evaluation.questions import Questions

_QUERIES_PER_CHUNK = 16  # of the collection search: bounds the candidates held at once


@dataclass(frozen=True)
class TrainedModels:
    """What an evaluation needs, all made with the same features and the same text encoder."""

    encoders: Encoders
    store: FeatureStore
    retriever: Retriever
    localizer: Localizer
    blind: Localizer


def load_models(*, encoder_dir: Path, features_dir: Path, checkpoints_dir: Path) -> TrainedModels:
    """Load the trained roles with their encoders and features.

    Raises:
        FileNotFoundError: naming what has not been made yet.
        ValueError: when a role was trained with other features or another text encoder.
    """
    encoders, store = load_encoders(encoder_dir), FeatureStore(features_dir)
    retriever, retriever_config = load_retriever(checkpoints_dir / "retriever")
    localizer, localizer_config = load_localizer(checkpoints_dir / "localizer")
    blind, blind_config = load_blind(checkpoints_dir / "blind")
    for config in (retriever_config, localizer_config, blind_config):
        _require_same_inputs(config, encoders=encoders, store=store)
    return TrainedModels(encoders, store, retriever, localizer, blind)


def _require_same_inputs(config: CheckpointConfig, *, encoders: Encoders, store: FeatureStore) -> None:
    require_same_fingerprint(expected=store.fingerprint, found=config.fingerprint, what=f"the trained {config.role}")
    if config.text_digest != encoders.text_digest:
        raise ValueError(
            f"the trained {config.role} reads text of encoder {config.text_digest}, found {encoders.text_digest}; run: dvc repro"
        )


def encode_text(models: TrainedModels, questions: Questions) -> TextFeatures:
    """Encode the sentences of a split."""
    return encode_queries(models.encoders.text, models.encoders.tokenizer, [query.text for query in questions.queries])


def load_split_cells(models: TrainedModels, questions: Questions) -> dict[str, Half]:
    """Load the features of every video of a split on the localizer's grid."""
    return load_cells(models.store, [video.video_id for video in questions.videos], models.localizer.num_cells)


def build_blind_cells(blind: Localizer, store: FeatureStore, questions: Questions) -> dict[str, Half]:
    """Return empty features on the blind floor's grid: whatever it is, it cannot see a video."""
    nothing = np.zeros((blind.num_cells, *store.feature_shape), dtype=np.float16)
    return {video.video_id: nothing for video in questions.videos}


def predict_moments(localizer: Localizer, questions: Questions, text: TextFeatures, cells: Mapping[str, Half]) -> RankedSpans:
    """Localize every query in its own video."""
    found = predict_candidates(
        localizer, cells=cells, durations_s=_list_durations(questions), video_ids=questions.video_ids, text=text
    )
    return _to_candidates(found)


def swap_videos(questions: Questions, cells: Mapping[str, Half], *, seed: int) -> dict[str, Half]:
    """Give every video that is asked about the features of another one; durations stay. The order is drawn by seed.

    Raises:
        ValueError: when fewer than two videos are asked about.
    """
    asked = [questions.videos[index].video_id for index in np.unique(questions.video_index)]
    others = draw_derangement(len(asked), seed)
    return {video_id: cells[asked[other]] for video_id, other in zip(asked, others, strict=True)}


def build_index(models: TrainedModels, questions: Questions) -> ClipIndex:
    """Index the clips of every video of a split."""
    vectors: dict[str, NDArray[np.float32]] = {}
    rates_hz: dict[str, float] = {}
    with torch.no_grad():
        for video in tqdm(questions.videos, desc="embed clips", unit="video", disable=None, leave=False):
            features = torch.from_numpy(models.store.load(video.video_id)).float()  # (S, P, D)
            vectors[video.video_id] = models.retriever.embed_clips(features).numpy()
            rates_hz[video.video_id] = compute_clip_rate(
                models.store.clip_rate_hz, num_clips=len(features), duration_s=video.duration_s
            )
    return ClipIndex.build(vectors, clip_rate_hz=rates_hz, fingerprint=models.store.fingerprint)


def search_questions(
    models: TrainedModels,
    questions: Questions,
    text: TextFeatures,
    cells: Mapping[str, Half],
    *,
    settings: SearchSettings,
    top_k: int,
) -> list[list[RankedMoment]]:
    """Search the whole split for every query, as the service does: the best moments of each, best first."""
    index = build_index(models, questions)
    with torch.no_grad():
        vectors = models.retriever.embed_queries(text).numpy()  # (Q, E)
    answers: list[list[RankedMoment]] = []
    with tqdm(total=len(vectors), desc=f"search {questions.split}", unit="query", disable=None, leave=False) as bar:
        for start in range(0, len(vectors), _QUERIES_PER_CHUNK):
            rows = range(start, min(start + _QUERIES_PER_CHUNK, len(vectors)))
            survivors = {row: find_survivors(vectors[row], index, settings) for row in rows}
            found = _localize_survivors(models.localizer, questions, text, cells, survivors)
            answers += [rank_collection(vectors[row], index, found[row], settings, top_k=top_k) for row in rows]
            bar.update(len(rows))
    return answers


def _localize_survivors(
    localizer: Localizer,
    questions: Questions,
    text: TextFeatures,
    cells: Mapping[str, Half],
    survivors: Mapping[int, Sequence[WindowId]],
) -> dict[int, dict[WindowId, ScoredSpans]]:
    """Localize each of the chosen queries in each of its surviving windows, in large batches."""
    pairs = [(row, window) for row, windows in survivors.items() for window in windows]
    found = predict_candidates(
        localizer,
        cells=cells,
        durations_s=_list_durations(questions),
        video_ids=[window.video_id for _, window in pairs],
        text=select_text(text, torch.tensor([row for row, _ in pairs])),
    )
    by_query: dict[int, dict[WindowId, ScoredSpans]] = {row: {} for row in survivors}
    for (row, window), spans, scores, valid in zip(pairs, *found, strict=True):
        by_query[row][window] = ScoredSpans(spans[valid], scores[valid])
    return by_query


def _list_durations(questions: Questions) -> dict[str, float]:
    return {video.video_id: video.duration_s for video in questions.videos}


def _to_candidates(found: Predictions) -> RankedSpans:
    """Keep the localizer's own precision: an overlap of exactly the threshold is then suppressed as in the service."""
    return RankedSpans(found.spans, found.scores.astype(np.float64), found.valid)

"""Predictions of the trained models for the questions of a split: the candidates of each query in a given video.

Letters: Q queries, W windows of a video, M candidates of a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from corpus.store import FeatureStore, require_same_fingerprint
from corpus.windows import WindowRule
from evaluation.questions import Questions
from models.artefacts.checkpoint import CheckpointConfig, load_blind, load_localizer, load_retriever
from models.artefacts.encoder_files import Encoders, load_encoders
from models.contracts.batches import TextFeatures
from models.contracts.inputs import Predictions, encode_queries, select_text
from models.contracts.roles import Localizer, Retriever
from models.contracts.windows import WindowedVideos, cut_stored_videos, keep_whole, predict_windows
from models.metrics.convention import Convention
from models.metrics.floors import draw_derangement
from models.metrics.spans import RankedSpans

_QUERIES_PER_RANKING = 64  # bounds the candidates held at once


@dataclass(frozen=True)
class TrainedModels:
    """Models and features of an evaluation, all made with the same features and the same text encoder."""

    encoders: Encoders
    store: FeatureStore
    retriever: Retriever
    localizer: Localizer
    blind: Localizer
    rule: WindowRule  # how the localizer reads videos longer than those of its training


def load_models(*, encoder_dir: Path, features_dir: Path, checkpoints_dir: Path) -> TrainedModels:
    """Load the trained roles with their encoders and features.

    Raises:
        FileNotFoundError: naming a missing artefact.
        ValueError: when a role was trained with other features or another text encoder.
    """
    encoders, store = load_encoders(encoder_dir), FeatureStore(features_dir)
    retriever, retriever_config = load_retriever(checkpoints_dir / "retriever")
    localizer, localizer_config = load_localizer(checkpoints_dir / "localizer")
    blind, blind_config = load_blind(checkpoints_dir / "blind")
    for config in (retriever_config, localizer_config, blind_config):
        _require_same_inputs(config, encoders=encoders, store=store)
    return TrainedModels(encoders, store, retriever, localizer, blind, WindowRule(localizer_config.longest_s))


def _require_same_inputs(config: CheckpointConfig, *, encoders: Encoders, store: FeatureStore) -> None:
    expected = store.combine_fingerprint(config.streams)
    require_same_fingerprint(expected=expected, found=config.fingerprint, what=f"the trained {config.role}")
    if config.text_digest != encoders.text_digest:
        raise ValueError(
            f"the trained {config.role} reads text of encoder {config.text_digest}, found {encoders.text_digest}; run: dvc repro"
        )


def encode_text(models: TrainedModels, questions: Questions) -> TextFeatures:
    """Encode the sentences of a split."""
    return encode_queries(models.encoders.text, models.encoders.tokenizer, [query.text for query in questions.queries])


def open_windows(models: TrainedModels, questions: Questions) -> WindowedVideos:
    """Return the videos of a split in the windows of the localizer."""
    localizer, durations_s = models.localizer, list_durations(questions)
    return cut_stored_videos(models.store, localizer.streams, durations_s, localizer.num_cells, models.rule)


def build_blind_windows(blind: Localizer, questions: Questions) -> WindowedVideos:
    """Return videos without any stream on the blind floor's grid, so that it cannot see a video."""
    return keep_whole({video.video_id: {} for video in questions.videos}, list_durations(questions), blind.num_cells)


def predict_moments(
    localizer: Localizer, questions: Questions, text: TextFeatures, videos: WindowedVideos, video_ids: Sequence[str] | None = None
) -> RankedSpans:
    """Localize every query in its own video, or in `video_ids`, and return the candidates of all windows."""
    own = [videos.list_ids(video_id) for video_id in video_ids or questions.video_ids]
    rows = [row for row, windows in enumerate(own) for _ in windows]
    windows = [window for of_query in own for window in of_query]
    found = predict_windows(localizer, videos, windows, select_text(text, torch.tensor(rows)))
    return _join_windows(found, [len(of_query) for of_query in own])


def rank_moments(
    localizer: Localizer, questions: Questions, text: TextFeatures, videos: WindowedVideos, convention: Convention
) -> RankedSpans:
    """Localize every query in its own video and return its answers, best first. Memory holds candidates of a few queries."""
    parts = []
    for start in range(0, len(questions), _QUERIES_PER_RANKING):
        rows = np.arange(start, min(start + _QUERIES_PER_RANKING, len(questions)))
        chunk = select_text(text, torch.from_numpy(rows))
        parts.append(convention.rank(predict_moments(localizer, questions.take(rows), chunk, videos)))
    return RankedSpans(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def swap_videos(questions: Questions, videos: WindowedVideos, *, seed: int) -> WindowedVideos:
    """Give every video with queries the features of another one, drawn by seed; durations stay.

    Raises:
        ValueError: when fewer than two videos have queries.
    """
    asked = [questions.videos[index] for index in np.unique(questions.video_index)]
    others = draw_derangement(len(asked), seed)
    sources = {video.video_id: asked[other].video_id for video, other in zip(asked, others, strict=True)}
    return videos.lend(sources, {video.video_id: video.duration_s for video in asked})


def list_durations(questions: Questions) -> dict[str, float]:
    """Return the lengths of the videos of a split in seconds."""
    return {video.video_id: video.duration_s for video in questions.videos}


def _join_windows(found: Predictions, num_windows: Sequence[int]) -> RankedSpans:
    """Concatenate the candidates of each query's windows: (B, M) -> (Q, W * M), where W is the largest number of windows.

    Spans keep the localizer's precision, so an overlap of exactly the threshold is suppressed like in the service.
    """
    width, num_candidates = max(num_windows), found.scores.shape[1]
    rows = np.repeat(np.arange(len(num_windows)), num_windows)  # (B,)
    numbers = np.concatenate([np.arange(count) for count in num_windows])
    joined = []
    for array in (found.spans, found.scores.astype(np.float64), found.valid):
        padded = np.zeros((len(num_windows), width, *array.shape[1:]), dtype=array.dtype)
        padded[rows, numbers] = array
        joined.append(padded.reshape(len(num_windows), width * num_candidates, *array.shape[2:]))
    return RankedSpans(*joined)

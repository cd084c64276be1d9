"""From stored features and sentences to batches, and from a localizer to NumPy predictions: one path for all stages.

Letters: Q queries, B rows of a batch, N cells, P places, D width, L words, M candidates.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from corpus.moments import resample_clips
from corpus.store import FeatureStore, Half
from corpus.text import Tokenizer
from models.exchange.batches import TextFeatures, VideoFeatures
from models.exchange.roles import Localizer, TextEncoder

V = TypeVar("V", bound=Hashable)
_SENTENCES_PER_RUN = 256


class Predictions(NamedTuple):
    """A localizer's candidates for Q queries."""

    spans: NDArray[np.float32]  # (Q, M, 2) seconds
    scores: NDArray[np.float32]  # (Q, M) logits
    valid: NDArray[np.bool_]  # (Q, M)


def iterate_cells(store: FeatureStore, video_ids: Sequence[str], num_cells: int) -> Iterator[Half]:
    """Yield each video's clips averaged into `num_cells` cells, (N, P, D) float16."""
    for video_id in tqdm(video_ids, desc="features", unit="video", disable=None, leave=False):
        yield average_clips(store.load(video_id), num_cells)


def average_clips(clips: Half, num_cells: int) -> Half:
    """Average clips (S, P, D) into cells (N, P, D); as many clips as cells are the cells."""
    return clips if len(clips) == num_cells else resample_clips(clips, num_cells).astype(np.float16)


def load_cells(store: FeatureStore, video_ids: Sequence[str], num_cells: int) -> dict[str, Half]:
    """Return what `iterate_cells` yields, by video."""
    return dict(zip(video_ids, iterate_cells(store, video_ids, num_cells), strict=True))


@torch.no_grad()
def encode_queries(text_encoder: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> TextFeatures:
    """Encode sentences with a frozen text encoder, in parts that bound its memory; all are padded to the longest one."""
    ids = torch.from_numpy(tokenizer.encode(texts))
    encoded = [text_encoder(ids[start : start + _SENTENCES_PER_RUN]) for start in range(0, len(ids), _SENTENCES_PER_RUN)]
    return TextFeatures(*(torch.cat(tensors) for tensors in zip(*encoded, strict=True)))


def select_text(text: TextFeatures, rows: Tensor) -> TextFeatures:
    """Return some rows of encoded sentences, cut to the longest sentence among them."""
    mask = text.mask[rows]
    length = int(mask.any(0).nonzero().max()) + 1
    return TextFeatures(tokens=text.tokens[rows, :length], mask=mask[:, :length], pooled=text.pooled[rows])


def stack_videos(cells: Sequence[Half], durations_s: Sequence[float]) -> VideoFeatures:
    """Make a batch of videos whose N cells (N, P, D) all lie inside the video."""
    features = torch.from_numpy(np.stack(cells)).float()  # (B, N, P, D)
    mask = torch.ones(features.shape[:2], dtype=torch.bool)
    return VideoFeatures(features, mask, torch.tensor(durations_s, dtype=torch.float32))


@torch.no_grad()
def predict_candidates(
    localizer: Localizer,
    *,
    cells: Mapping[V, Half],
    durations_s: Mapping[V, float],
    video_ids: Sequence[V],
    text: TextFeatures,
    batch_size: int = 64,
) -> Predictions:
    """Localize query i of `text` in video, or window of a video, `video_ids[i]`.

    `cells` holds their features on the localizer's own grid, `durations_s` their lengths in seconds.
    """
    if len(video_ids) != len(text.mask):
        raise ValueError(f"predict_candidates needs one video per query, got {len(video_ids)} videos, {len(text.mask)} queries")
    if not video_ids:
        raise ValueError("predict_candidates needs at least one query, got none")
    parts: list[Predictions] = []
    for start in tqdm(range(0, len(video_ids), batch_size), desc="localize", unit="batch", disable=None, leave=False):
        chosen = video_ids[start : start + batch_size]
        video = stack_videos([cells[video_id] for video_id in chosen], [durations_s[video_id] for video_id in chosen])
        found = localizer(video, select_text(text, torch.arange(start, start + len(chosen))))
        parts.append(Predictions(found.spans.numpy(), found.scores.numpy(), found.valid.numpy()))
    return Predictions(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

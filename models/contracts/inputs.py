"""Input path shared by all stages: builds batches from stored features and sentences, and NumPy predictions from a localizer.

Letters: Q queries, B rows of a batch, N cells, P places, D width, L words, M candidates.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from corpus.alignment import align_clips
from corpus.moments import compute_clip_rate, resample_clips
from corpus.store import FeatureStore, Half, StreamStore
from corpus.text import Tokenizer
from models.contracts.batches import TextFeatures, VideoFeatures
from models.contracts.roles import Localizer, TextEncoder

Cells = Mapping[str, Half]  # by stream, each (N, P, D), or (S, P, D) of a retriever

V = TypeVar("V", bound=Hashable)
_SENTENCES_PER_RUN = 256


class Predictions(NamedTuple):
    """A localizer's candidates for Q queries."""

    spans: NDArray[np.float32]  # (Q, M, 2) seconds
    scores: NDArray[np.float32]  # (Q, M) logits
    valid: NDArray[np.bool_]  # (Q, M)


def iterate_cells(store: StreamStore, video_ids: Sequence[str], num_cells: int) -> Iterator[Half]:
    """Yield the clips of one stream for each video, averaged into `num_cells` cells, (N, P, D) float16."""
    for video_id in tqdm(video_ids, desc=f"features of {store.name}", unit="video", disable=None, leave=False):
        yield average_clips(store.load(video_id), num_cells)


def load_clips(store: FeatureStore, names: Sequence[str], video_id: str, *, duration_s: float) -> Cells:
    """Return some streams of a video, aligned to the clips of the first one: each (S, P, D) float16."""
    first, *others = (store.stream(name) for name in names)
    clips = {first.name: first.load(video_id)}
    num_clips = len(clips[first.name])
    grid_hz = compute_clip_rate(first.clip_rate_hz, num_clips=num_clips, duration_s=duration_s)
    for stream in others:
        features = stream.load(video_id)
        rate_hz = compute_clip_rate(stream.clip_rate_hz, num_clips=len(features), duration_s=duration_s)
        clips[stream.name] = align_clips(features, num_clips, grid_hz, clip_rate_hz=rate_hz).astype(np.float16)
    return clips


def average_clips(clips: Half, num_cells: int) -> Half:
    """Average clips (S, P, D) into cells (N, P, D); equal numbers of clips and cells are returned unchanged."""
    return clips if len(clips) == num_cells else resample_clips(clips, num_cells).astype(np.float16)


def encode_queries(text_encoder: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> TextFeatures:
    """Encode sentences with a frozen text encoder in chunks that bound its memory; pad all to the longest one."""
    ids = torch.from_numpy(tokenizer.encode(texts))
    encoded = [text_encoder(ids[start : start + _SENTENCES_PER_RUN]) for start in range(0, len(ids), _SENTENCES_PER_RUN)]
    return TextFeatures(*(torch.cat(tensors) for tensors in zip(*encoded, strict=True)))


def select_text(text: TextFeatures, rows: Tensor) -> TextFeatures:
    """Return some rows of encoded sentences, cut to the longest sentence among them."""
    mask = text.mask[rows]
    length = int(mask.any(0).nonzero().max()) + 1
    return TextFeatures(tokens=text.tokens[rows, :length], mask=mask[:, :length], pooled=text.pooled[rows])


def stack_videos(cells: Sequence[Cells], durations_s: Sequence[float], num_cells: int) -> VideoFeatures:
    """Stack videos with the same streams into a batch; all N = `num_cells` cells lie inside the video."""
    streams = {name: torch.from_numpy(np.stack([video[name] for video in cells])).float() for name in cells[0]}  # (B, N, P, D)
    mask = torch.ones((len(cells), num_cells), dtype=torch.bool)
    return VideoFeatures(streams, mask, torch.tensor(durations_s, dtype=torch.float32))


def select_videos(video: VideoFeatures, rows: Tensor) -> VideoFeatures:
    """Return some rows of a batch of videos."""
    streams = {name: features[rows] for name, features in video.streams.items()}
    return VideoFeatures(streams, video.mask[rows], video.duration_s[rows])


@torch.no_grad()
def predict_candidates(
    localizer: Localizer,
    *,
    cells: Mapping[V, Cells],
    durations_s: Mapping[V, float],
    video_ids: Sequence[V],
    text: TextFeatures,
    batch_size: int = 64,
) -> Predictions:
    """Localize query i of `text` in the video or window `video_ids[i]`.

    `cells` holds the streams of each on the localizer's own grid, `durations_s` their lengths in seconds.
    """
    if len(video_ids) != len(text.mask):
        raise ValueError(f"predict_candidates needs one video per query, got {len(video_ids)} videos, {len(text.mask)} queries")
    if not video_ids:
        raise ValueError("predict_candidates needs at least one query, got none")
    parts: list[Predictions] = []
    for start in tqdm(range(0, len(video_ids), batch_size), desc="localize", unit="batch", disable=None, leave=False):
        chosen = video_ids[start : start + batch_size]
        lengths_s = [durations_s[video_id] for video_id in chosen]
        video = stack_videos([cells[video_id] for video_id in chosen], lengths_s, localizer.num_cells)
        found = localizer(video, select_text(text, torch.arange(start, start + len(chosen))))
        parts.append(Predictions(found.spans.numpy(), found.scores.numpy(), found.valid.numpy()))
    return Predictions(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

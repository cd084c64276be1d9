"""The data of one split in memory, and batches of it by index: nothing is looped over per item in Python.

Letters: V videos, Q queries, B rows of a batch, N cells, P places, D widths, L words, G true moments, S clips.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from corpus.moments import compute_clip_rate, find_clips
from corpus.records import Corpus
from corpus.store import Half
from models.exchange.batches import Labels, Targets, TextFeatures, VideoFeatures
from models.exchange.inputs import select_text
from models.metrics.spans import pad_moments
from models.training.cell_table import BatchMemory, build_table
from models.training.labels import build_labels


class LocalizerBatch(NamedTuple):
    """What one step of a localizer reads."""

    video: VideoFeatures
    text: TextFeatures
    targets: Targets
    query_index: Tensor  # (B,) of the queries in their split


class RetrieverBatch(NamedTuple):
    """What one step of a retriever reads: the distinct clips of B moments, and how they make the moments."""

    clips: Tensor  # (S, P, D)
    shares: Tensor  # (B, S), each row the share of every clip in the mean of a moment, summing to 1
    text: TextFeatures
    targets: Targets  # one span per row
    query_index: Tensor  # (B,) of the queries in their split


@dataclass(frozen=True)
class QueryTable:
    """The queries of a split as tensors; row i of every field is query i."""

    text: TextFeatures
    video_index: Tensor  # (Q,)
    text_index: Tensor  # (Q,), equal where two queries have one sentence
    spans: Tensor  # (Q, G, 2) seconds
    mask: Tensor  # (Q, G)
    sentences: tuple[str, ...]

    @classmethod
    def from_corpus(cls, corpus: Corpus, text: TextFeatures) -> Self:
        """Tabulate the queries of a corpus; `text` holds their sentences in the same order."""
        videos = {video.video_id: index for index, video in enumerate(corpus.videos)}
        sentences = {text: index for index, text in enumerate(dict.fromkeys(query.text for query in corpus.queries))}
        truth = pad_moments([query.spans for query in corpus.queries])
        return cls(
            text=text,
            video_index=torch.tensor([videos[query.video_id] for query in corpus.queries]),
            text_index=torch.tensor([sentences[query.text] for query in corpus.queries]),
            spans=torch.from_numpy(truth.spans).float(),
            mask=torch.from_numpy(truth.mask),
            sentences=tuple(query.text for query in corpus.queries),
        )

    def __len__(self) -> int:
        """The number of queries."""
        return len(self.video_index)

    @cached_property
    def labels(self) -> Labels:
        """The classes of the queries, (Q,) each; made when a loss asks for them."""
        return build_labels(self.sentences, self.text, video_index=self.video_index, text_index=self.text_index)

    def targets(self, rows: Tensor) -> Targets:
        """Return the true moments of some queries."""
        return Targets(self.spans[rows], self.mask[rows], self.video_index[rows], self.text_index[rows])


@dataclass(frozen=True)
class LocalizerData:
    """One split on a localizer's grid."""

    queries: QueryTable
    cells: Tensor  # (V, N, P, D) float16
    durations_s: Tensor  # (V,)
    memory: BatchMemory = field(default_factory=BatchMemory, compare=False)

    @classmethod
    def from_corpus(cls, corpus: Corpus, text: TextFeatures, cells: Iterable[Half]) -> Self:
        """Gather the split's videos: their cells (N, P, D) and the queries' sentences, both in the corpus's order."""
        table = build_table(cells, len(corpus.videos))
        durations = torch.tensor([video.duration_s for video in corpus.videos], dtype=torch.float32)
        return cls(QueryTable.from_corpus(corpus, text), table, durations)

    def batch(self, rows: Tensor) -> LocalizerBatch:
        """Return the batch of some queries."""
        videos = self.queries.video_index[rows]
        features = self.memory.gather(self.cells, videos)  # (B, N, P, D)
        mask = torch.ones(features.shape[:2], dtype=torch.bool)
        video = VideoFeatures(features, mask, self.durations_s[videos])
        return LocalizerBatch(video, select_text(self.queries.text, rows), self.queries.targets(rows), rows)


@dataclass(frozen=True)
class RetrieverData:
    """One split clip by clip; a row is a query with one of its moments."""

    queries: QueryTable
    clips: Tensor  # (all S, P, D) float16, video after video
    first_clip: Tensor  # (V + 1,), where each video starts in `clips`
    row_query: Tensor  # (R,), the query of each row
    row_span: Tensor  # (R, 2) seconds
    row_clips: Tensor  # (R, 2), first and last clip of each row's moment in `clips`
    durations_s: Tensor  # (V,)

    @classmethod
    def from_corpus(cls, corpus: Corpus, text: TextFeatures, features: Sequence[Half], clip_rate_hz: float | None) -> Self:
        """Pack the split's videos; `features` are their clips (S, P, D) and `text` the queries' sentences, in order.

        Without a clip rate, the clips of each video span it evenly.
        """
        queries = QueryTable.from_corpus(corpus, text)
        lengths = np.array([len(clips) for clips in features])
        first_clip = np.concatenate([[0], np.cumsum(lengths)])
        row_query, column = queries.mask.nonzero(as_tuple=True)
        row_span = queries.spans[row_query, column]
        video = queries.video_index[row_query].numpy()
        rates_hz = np.array(
            [
                compute_clip_rate(clip_rate_hz, num_clips=length, duration_s=video.duration_s)
                for length, video in zip(lengths.tolist(), corpus.videos, strict=True)
            ]
        )
        inside = find_clips(row_span.numpy(), num_clips=lengths[video], clip_rate_hz=rates_hz[video])  # (R, 2)
        row_clips = inside + first_clip[video][:, None]
        return cls(
            queries=queries,
            clips=torch.from_numpy(np.concatenate(features)),
            first_clip=torch.from_numpy(first_clip),
            row_query=row_query,
            row_span=row_span,
            row_clips=torch.from_numpy(row_clips),
            durations_s=torch.tensor([video.duration_s for video in corpus.videos], dtype=torch.float32),
        )

    def batch(self, rows: Tensor) -> RetrieverBatch:
        """Return the batch of some rows."""
        first, last = self.row_clips[rows].unbind(-1)  # (B,)
        ranges = [torch.arange(start, stop + 1) for start, stop in zip(first.tolist(), last.tolist(), strict=True)]
        clips = torch.unique(torch.cat(ranges))  # (S,)
        inside = (clips >= first[:, None]) & (clips <= last[:, None])  # (B, S)
        shares = inside / inside.sum(1, keepdim=True)
        query = self.row_query[rows]
        targets = Targets(
            spans=self.row_span[rows][:, None],
            mask=torch.ones(len(rows), 1, dtype=torch.bool),
            video_index=self.queries.video_index[query],
            text_index=self.queries.text_index[query],
        )
        return RetrieverBatch(self.clips[clips].float(), shares, select_text(self.queries.text, query), targets, query)


def iterate_batches(num_rows: int, batch_size: int) -> Iterator[Tensor]:
    """Yield the rows in order, `batch_size` at a time."""
    yield from torch.split(torch.arange(num_rows), batch_size)


def shuffle_batches(
    video_index: Tensor, *, batch_size: int, videos_per_batch: int | None, generator: torch.Generator
) -> list[Tensor]:
    """Return the rows of each batch of one epoch, every row once; row i belongs to video `video_index[i]` (R,).

    With `videos_per_batch`, rows are taken from this many videos at a time, so that a batch holds several moments of
    one video; its last batches may be small.
    """
    if videos_per_batch is None:
        return list(torch.split(torch.randperm(len(video_index), generator=generator), batch_size))
    videos = torch.randperm(int(video_index.max()) + 1, generator=generator)
    batches: list[Tensor] = []
    for group in torch.split(videos, videos_per_batch):
        rows = torch.isin(video_index, group).nonzero()[:, 0]
        batches += torch.split(rows[torch.randperm(len(rows), generator=generator)], batch_size)
    return [batches[index] for index in torch.randperm(len(batches), generator=generator) if len(batches[index])]

"""Data of one split in memory, with batches by index and without Python loops over items.

Letters: V videos, Q queries, B rows of a batch, N cells, P places, D widths, L words, G true moments, S clips.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from corpus.moments import compute_clip_rate, find_clips
from corpus.records import Corpus
from corpus.store import Half
from models.contracts.batches import Labels, Targets, TextFeatures, VideoFeatures
from models.contracts.inputs import Cells, select_text
from models.metrics.spans import pad_moments
from models.training.cell_table import BatchMemory, build_table
from models.training.labels import build_labels


class LocalizerBatch(NamedTuple):
    """The inputs of one training step of a localizer."""

    video: VideoFeatures
    text: TextFeatures
    targets: Targets
    query_index: Tensor  # (B,) of the queries in their split


class RetrieverBatch(NamedTuple):
    """The inputs of one training step of a retriever: the distinct clips of B moments, and their shares in the moments."""

    clips: Mapping[str, Tensor]  # by stream, each (S, P, D)
    shares: Tensor  # (B, S), weight of every clip in the mean of a moment; rows sum to 1
    text: TextFeatures
    targets: Targets  # one span per row
    query_index: Tensor  # (B,) of the queries in their split


@dataclass(frozen=True)
class QueryTable:
    """The queries of a split as tensors; row i of every field is query i."""

    text: TextFeatures
    video_index: Tensor  # (Q,)
    text_index: Tensor  # (Q,), equal for queries with the same sentence
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
        """The class labels of the queries, (Q,) each, computed on first access."""
        return build_labels(self.sentences, self.text, video_index=self.video_index, text_index=self.text_index)

    def targets(self, rows: Tensor) -> Targets:
        """Return the true moments of some queries."""
        return Targets(self.spans[rows], self.mask[rows], self.video_index[rows], self.text_index[rows])


@dataclass(frozen=True)
class LocalizerData:
    """One split on a localizer's grid."""

    queries: QueryTable
    num_cells: int  # N
    cells: Mapping[str, Tensor]  # by stream, each (V, N, P, D) float16
    durations_s: Tensor  # (V,)
    memory: Mapping[str, BatchMemory] = field(default_factory=lambda: defaultdict(BatchMemory), compare=False)  # by stream

    @classmethod
    def from_corpus(cls, corpus: Corpus, text: TextFeatures, cells: Mapping[str, Iterable[Half]], num_cells: int) -> Self:
        """Gather the cells (N, P, D) of the videos by stream, and the sentences of the queries, in corpus order."""
        tables = {name: build_table(part, len(corpus.videos)) for name, part in cells.items()}
        durations = torch.tensor([video.duration_s for video in corpus.videos], dtype=torch.float32)
        return cls(QueryTable.from_corpus(corpus, text), num_cells, tables, durations)

    def batch(self, rows: Tensor) -> LocalizerBatch:
        """Return the batch of some queries."""
        videos = self.queries.video_index[rows]
        streams = {name: self.memory[name].gather(table, videos) for name, table in self.cells.items()}  # (B, N, P, D) each
        mask = torch.ones((len(rows), self.num_cells), dtype=torch.bool)
        video = VideoFeatures(streams, mask, self.durations_s[videos])
        return LocalizerBatch(video, select_text(self.queries.text, rows), self.queries.targets(rows), rows)


@dataclass(frozen=True)
class RetrieverData:
    """One split at clip level; a row is a query with one of its moments."""

    queries: QueryTable
    clips: Mapping[str, Tensor]  # by stream, each (all S, P, D) float16, video after video
    first_clip: Tensor  # (V + 1,), start of each video in `clips`
    row_query: Tensor  # (R,), the query of each row
    row_span: Tensor  # (R, 2) seconds
    row_clips: Tensor  # (R, 2), first and last clip of each row's moment in `clips`
    durations_s: Tensor  # (V,)

    @classmethod
    def from_corpus(cls, corpus: Corpus, text: TextFeatures, features: Sequence[Cells], clip_rate_hz: float | None) -> Self:
        """Pack the videos of a split; `features` are their clips by stream and `text` the sentences of queries, in order.

        All streams are aligned to the clips of the first one, whose rate is `clip_rate_hz`. Without a rate, the clips of each
        video span it evenly.
        """
        queries = QueryTable.from_corpus(corpus, text)
        first = next(iter(features[0]))
        lengths = np.array([len(clips[first]) for clips in features])
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
            clips={name: torch.from_numpy(np.concatenate([clips[name] for clips in features])) for name in features[0]},
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
        streams = {name: table[clips].float() for name, table in self.clips.items()}
        return RetrieverBatch(streams, shares, select_text(self.queries.text, query), targets, query)


def iterate_batches(num_rows: int, batch_size: int) -> Iterator[Tensor]:
    """Yield the rows in order, `batch_size` at a time."""
    yield from torch.split(torch.arange(num_rows), batch_size)


def shuffle_batches(
    video_index: Tensor, *, batch_size: int, videos_per_batch: int | None, generator: torch.Generator
) -> list[Tensor]:
    """Return the rows of each batch of one epoch, each row once; row i belongs to video `video_index[i]` (R,).

    With `videos_per_batch`, rows come from this many videos at a time, so that a batch has several moments of the same
    video; the last batch of each group may be small.
    """
    if videos_per_batch is None:
        return list(torch.split(torch.randperm(len(video_index), generator=generator), batch_size))
    videos = torch.randperm(int(video_index.max()) + 1, generator=generator)
    batches: list[Tensor] = []
    for group in torch.split(videos, videos_per_batch):
        rows = torch.isin(video_index, group).nonzero()[:, 0]
        batches += torch.split(rows[torch.randperm(len(rows), generator=generator)], batch_size)
    return [batches[index] for index in torch.randperm(len(batches), generator=generator) if len(batches[index])]

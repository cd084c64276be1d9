"""Training of retrievers.

Letters: B rows, S clips, V videos, N cells, M spans, Q queries, E embedding width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.moments import build_dense_cells, compute_cell_spans, resample_clips, score_spans
from models.contracts.batches import LossContext
from models.contracts.roles import Retriever
from models.layers.spans import compute_target_iou, find_false_negatives
from models.training.data import RetrieverBatch, RetrieverData, iterate_batches, shuffle_batches
from models.training.learner import Metrics
from models.training.role_module import RoleModule, select_labels

NUM_CELLS = 32  # of the validation grid
RANKS = (1, 10)
MIN_IOU = 0.5  # of a found moment


def embed_moments(clips: Tensor, shares: Tensor) -> Tensor:
    """Return moment vectors, the normalised means of clip vectors: (S, E), (B, S) -> (B, E)."""
    return F.normalize(shares @ clips, dim=-1)


class RetrieverModule(RoleModule):
    """Training of a retriever on pairs of moment and query, with validation by searching the validation videos."""

    monitor = "val/recall"

    train_data: RetrieverData
    validation_data: RetrieverData | None

    def choose_rows(self, generator: torch.Generator) -> list[Tensor]:
        """Return the rows of each batch of an epoch."""
        return shuffle_batches(
            self.train_data.queries.video_index[self.train_data.row_query],
            batch_size=self.training_params.batch_size,
            videos_per_batch=self.training_params.videos_per_batch,
            generator=generator,
        )

    def build_context(self, model: Retriever, batch: RetrieverBatch, data: RetrieverData) -> LossContext:
        """Return the loss context of a retriever's pass over a batch."""
        moments = embed_moments(model.embed_clips(batch.clips), batch.shares)
        context = LossContext(
            targets=batch.targets,
            moments=moments,
            queries=model.embed_queries(batch.text),
            false_negatives=find_false_negatives(batch.targets),
        )
        if self.losses.needs("labels"):
            context = replace(context, labels=select_labels(data.queries.labels, batch.query_index))
        return context

    def iterate_validation(self) -> Iterator[RetrieverBatch]:
        """Yield the validation moments in batches of the training size."""
        assert self.validation_data is not None
        for rows in iterate_batches(len(self.validation_data.row_query), self.training_params.batch_size):
            batch: RetrieverBatch = self.transfer_batch_to_device(self.validation_data.batch(rows), self.device, 0)
            yield batch

    def measure(self, model: nn.Module) -> Metrics:
        """Return the recalls of `measure_recall`; empty without validation queries."""
        if self.validation_data is None:
            return {}
        assert isinstance(model, Retriever)
        return measure_recall(model, self.validation_data, self.device)


def measure_recall(retriever: Retriever, data: RetrieverData, device: torch.device) -> Metrics:
    """Search all videos of a split for every query and return recalls in [0, 1].

    Each video answers with its best span of the dense grid (`corpus.moments.score_spans`). `val/R<k>_iou0.5`: the right
    video is among the first k and its span has IoU >= 0.5. `val/video_R<k>`: the right video is among the first k.
    `val/recall`: the mean of all of these, which is less noisy on small splits than a single one. Other videos in which a
    sentence happens to be true count as wrong.
    """
    cells = embed_cells(retriever, data, device)  # (V, N, E)
    weights = build_span_weights(NUM_CELLS)  # (M, N)
    unit_spans = torch.from_numpy(compute_cell_spans(build_dense_cells(NUM_CELLS), num_cells=NUM_CELLS, duration_s=1.0))
    ranks, overlaps = [], []
    for rows in iterate_batches(len(data.queries), 32):
        text = type(data.queries.text)(*(part[rows].to(device) for part in data.queries.text))
        spans = torch.einsum("qe,vne->qvn", retriever.embed_queries(text).cpu(), cells) @ weights.T  # (B, V, M)
        scores, best = spans.max(-1)  # (B, V)
        right = data.queries.video_index[rows]
        own = scores.gather(1, right[:, None])
        ranks.append((scores > own).sum(1) + 1)
        found = unit_spans[best.gather(1, right[:, None])[:, 0]].float() * data.durations_s[right][:, None]  # (B, 2)
        overlaps.append(compute_target_iou(found[:, None], data.queries.targets(rows))[:, 0])
    return _compute_recalls(torch.cat(ranks), torch.cat(overlaps))


@torch.no_grad()
def measure_retrievers(retrievers: Sequence[Retriever], data: RetrieverData) -> list[Metrics]:
    """Return the recalls of `measure_recall` of several retrievers."""
    return [measure_recall(retriever, data, torch.device("cpu")) for retriever in retrievers]


def embed_cells(retriever: Retriever, data: RetrieverData, device: torch.device) -> Tensor:
    """Embed every clip of a split and average the vectors of each video into cells: (V, N, E)."""
    parts = []
    for rows in iterate_batches(int(data.first_clip[-1]), 256):
        streams = {name: clips[rows].float().to(device) for name, clips in data.clips.items()}  # (256, P, D) each
        parts.append(retriever.embed_clips(streams).cpu())
    vectors = torch.cat(parts).numpy()
    edges = data.first_clip.tolist()
    cells = [resample_clips(vectors[start:stop], NUM_CELLS) for start, stop in zip(edges[:-1], edges[1:], strict=True)]
    return torch.from_numpy(np.stack(cells))


def build_span_weights(num_cells: int) -> Tensor:
    """Return `corpus.moments.score_spans` as a matrix: span scores (M,) = weights (M, N) @ cell scores (N,)."""
    cells = build_dense_cells(num_cells)
    columns = [score_spans(unit, cells) for unit in np.eye(num_cells)]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def _compute_recalls(ranks: Tensor, overlaps: Tensor) -> Metrics:
    metrics: Metrics = {}
    for rank in RANKS:
        near = ranks <= rank
        metrics[f"val/R{rank}_iou{MIN_IOU}"] = (near & (overlaps >= MIN_IOU)).double().mean().item()
        metrics[f"val/video_R{rank}"] = near.double().mean().item()
    return {"val/recall": sum(metrics.values()) / len(metrics), **metrics}

"""Training of localizers, and of the text-only floor, which is one.

Letters: B rows, N cells, M candidates, G true moments.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.exchange.batches import Candidates, LossContext, Targets, VideoFeatures
from models.exchange.roles import Localizer
from models.layers.spans import compute_inside, compute_target_iou, find_false_negatives
from models.training.data import LocalizerBatch, LocalizerData, iterate_batches, shuffle_batches
from models.training.role_module import Metrics, RoleModule, select_labels

THRESHOLDS = (0.3, 0.5, 0.7)


class LocalizerModule(RoleModule):
    """Trains a localizer on one split and validates it by its first answer on another."""

    monitor = "val/mIoU"

    train_data: LocalizerData
    validation_data: LocalizerData | None

    def choose_rows(self, generator: torch.Generator) -> list[Tensor]:
        """Return the queries of each batch of an epoch."""
        return shuffle_batches(
            self.train_data.queries.video_index,
            batch_size=self.training_params.batch_size,
            videos_per_batch=self.training_params.videos_per_batch,
            generator=generator,
        )

    def build_context(self, model: Localizer, batch: LocalizerBatch, data: LocalizerData) -> LossContext:
        """Return what the losses may read of a localizer's pass over a batch of some data."""
        context = build_context(model(batch.video, batch.text), batch)
        if self.losses.needs("labels"):
            context = replace(context, labels=select_labels(data.queries.labels, batch.query_index))
        if self.losses.needs("other_candidates"):
            others, differs = choose_other_rows(batch.targets.video_index)
            video = VideoFeatures(*(part[others] for part in batch.video))
            context = replace(context, other_candidates=model(video, batch.text), other_differs=differs)
        return context

    def iterate_validation(self) -> Iterator[LocalizerBatch]:
        """Yield the validation queries, 64 at a time."""
        assert self.validation_data is not None
        for rows in iterate_batches(len(self.validation_data.queries), 64):
            batch: LocalizerBatch = self.transfer_batch_to_device(self.validation_data.batch(rows), self.device, 0)
            yield batch

    def validate(self, model: nn.Module) -> Metrics:
        """Return mIoU and R@1 at three IoUs of the best candidate, in [0, 1], over all validation queries, if any."""
        if self.validation_data is None:
            return {}
        parts: list[Tensor] = []
        for batch in self.iterate_validation():
            found = model(batch.video, batch.text)
            parts.append(compute_first_iou(found, batch.targets).cpu())
        iou = torch.cat(parts).double()  # (Q,)
        recalls = {f"val/R1_iou{threshold}": (iou >= threshold).double().mean().item() for threshold in THRESHOLDS}
        return {"val/mIoU": iou.mean().item(), **recalls}


def build_context(candidates: Candidates, batch: LocalizerBatch) -> LossContext:
    """Return what the losses of a localizer may read of one pass over a batch.

    A row's moment vector is that of its best candidate; without vectors of candidates and sentence there is none.
    """
    with torch.no_grad():
        iou = compute_target_iou(candidates.spans.detach(), batch.targets)
        inside = compute_inside(batch.targets, batch.video.mask, batch.video.duration_s)
    context = LossContext(
        candidates=candidates,
        targets=batch.targets,
        duration_s=batch.video.duration_s,
        iou=iou,
        cell_mask=batch.video.mask,
        inside=inside,
    )
    if candidates.features is None or candidates.query is None:
        return context
    best = iou.masked_fill(~candidates.valid, -1.0).argmax(1)  # (B,)
    moments = candidates.features[torch.arange(len(best), device=best.device), best]  # (B, E)
    same = find_false_negatives(batch.targets)
    return replace(context, moments=moments, queries=candidates.query, false_negatives=same)


def choose_other_rows(video_index: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each row the next one of another video, (B,), and whether there is one, (B,) bool; else the row itself."""
    num_rows = len(video_index)
    rows = torch.arange(num_rows, device=video_index.device)
    order = (rows[:, None] + rows[None, :]) % num_rows  # (B, B), each row's successors, itself first
    differs = video_index[order] != video_index[:, None]
    first = differs.float().argmax(1)  # 0, the row itself, where none differs
    return order[rows, first], differs.any(1)


def compute_first_iou(candidates: Candidates, targets: Targets) -> Tensor:
    """Return the IoU of each row's best valid candidate with its true moments, (B,)."""
    scores = candidates.scores.masked_fill(~candidates.valid, float("-inf"))
    best = scores.argmax(1)[:, None, None].expand(-1, 1, 2)
    return compute_target_iou(candidates.spans.gather(1, best), targets)[:, 0]

"""Training of localizers, including the text-only floor.

Letters: B rows, N cells, M candidates, G true moments.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.contracts.batches import Candidates, LossContext, Targets
from models.contracts.inputs import select_videos
from models.contracts.roles import Localizer
from models.layers.spans import compute_inside, compute_target_iou, find_false_negatives
from models.training.data import LocalizerBatch, LocalizerData, iterate_batches, shuffle_batches
from models.training.learner import Metrics
from models.training.role_module import RoleModule, select_labels

THRESHOLDS = (0.3, 0.5, 0.7)


class LocalizerModule(RoleModule):
    """Training of a localizer on one split, with validation of its first answer on another."""

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
        """Return the loss context of a localizer's pass over a batch."""
        context = build_context(model(batch.video, batch.text), batch)
        if self.losses.needs("labels"):
            context = replace(context, labels=select_labels(data.queries.labels, batch.query_index))
        if self.losses.needs("other_candidates"):
            others, differs = choose_other_rows(batch.targets.video_index)
            video = select_videos(batch.video, others)
            context = replace(context, other_candidates=model(video, batch.text), other_differs=differs)
        return context

    def iterate_validation(self) -> Iterator[LocalizerBatch]:
        """Yield the validation queries, 64 at a time."""
        assert self.validation_data is not None
        for rows in iterate_batches(len(self.validation_data.queries), 64):
            batch: LocalizerBatch = self.transfer_batch_to_device(self.validation_data.batch(rows), self.device, 0)
            yield batch

    def measure(self, model: nn.Module) -> Metrics:
        """Return mIoU and R@1 at three IoUs of the best candidate, in [0, 1], over all validation queries, if any."""
        if self.validation_data is None:
            return {}
        assert isinstance(model, Localizer)
        return _measure_batches([model], self.iterate_validation())[0]


@torch.no_grad()
def measure_localizers(localizers: Sequence[Localizer], data: LocalizerData) -> list[Metrics]:
    """Return the metrics of `LocalizerModule.measure` of several localizers of one class and one grid on a split."""
    return _measure_batches(localizers, (data.batch(rows) for rows in iterate_batches(len(data.queries), 64)))


def _measure_batches(localizers: Sequence[Localizer], batches: Iterable[LocalizerBatch]) -> list[Metrics]:
    parts: list[list[Tensor]] = [[] for _ in localizers]
    for batch in batches:
        answered = type(localizers[0]).answer_all(localizers, batch.video, batch.text)
        for found, of_localizer in zip(answered, parts, strict=True):
            of_localizer.append(compute_first_iou(found, batch.targets).cpu())
    return [_summarise(torch.cat(of_localizer).double()) for of_localizer in parts]


def _summarise(iou: Tensor) -> Metrics:
    """Return mean IoU and recalls of the IoU of first answers (Q,)."""
    recalls = {f"val/R1_iou{threshold}": (iou >= threshold).double().mean().item() for threshold in THRESHOLDS}
    return {"val/mIoU": iou.mean().item(), **recalls}


def build_context(candidates: Candidates, batch: LocalizerBatch) -> LossContext:
    """Return the loss context of one pass of a localizer over a batch.

    The moment vector of a row is the vector of its best candidate; it is missing if candidates or sentences have no vectors.
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
    """Return for each row the next row of another video, (B,), or the row itself, and whether there is one, (B,) bool."""
    num_rows = len(video_index)
    rows = torch.arange(num_rows, device=video_index.device)
    order = (rows[:, None] + rows[None, :]) % num_rows  # (B, B), successors of each row, itself first
    differs = video_index[order] != video_index[:, None]
    first = differs.float().argmax(1)  # 0, the row itself, if none differs
    return order[rows, first], differs.any(1)


def compute_first_iou(candidates: Candidates, targets: Targets) -> Tensor:
    """Return the IoU of the best valid candidate of each row with its true moments, (B,)."""
    scores = candidates.scores.masked_fill(~candidates.valid, float("-inf"))
    best = scores.argmax(1)[:, None, None].expand(-1, 1, 2)
    return compute_target_iou(candidates.spans.gather(1, best), targets)[:, 0]

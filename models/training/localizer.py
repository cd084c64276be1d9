"""Training of localizers, and of the text-only floor, which is one.

Letters: B rows, N cells, M candidates, G true moments.
"""

import torch
from torch import Tensor, nn

from models.exchange.batches import Candidates, LossContext, Targets
from models.exchange.roles import Localizer
from models.layers.spans import compute_inside, compute_target_iou
from models.losses.base import LossValue, WeightedLosses
from models.training.data import LocalizerBatch, LocalizerData, iterate_batches, shuffle_batches
from models.training.fitting import Metrics, Report, RoleModule
from models.training.schema import TrainingParams

THRESHOLDS = (0.3, 0.5, 0.7)


class LocalizerModule(RoleModule):
    """Trains a localizer on one split and validates it by its first answer on another."""

    monitor = "val/mIoU"

    def __init__(
        self,
        localizer: Localizer,
        losses: WeightedLosses,
        training: TrainingParams,
        *,
        train: LocalizerData,
        validation: LocalizerData | None,
        seed: int,
        report: Report | None = None,
    ) -> None:
        """Store the parts."""
        super().__init__(localizer, training, seed=seed, report=report)
        self.losses = losses
        self.train_data = train
        self.validation_data = validation

    def load_batch(self, rows: Tensor) -> LocalizerBatch:
        """Return the training batch of some queries."""
        return self.train_data.batch(rows)

    def choose_rows(self, generator: torch.Generator) -> list[Tensor]:
        """Return the queries of each batch of an epoch."""
        return shuffle_batches(
            self.train_data.queries.video_index,
            batch_size=self.training_params.batch_size,
            videos_per_batch=self.training_params.videos_per_batch,
            generator=generator,
        )

    def compute_loss(self, batch: LocalizerBatch) -> LossValue:
        """Return the weighted losses of a batch."""
        candidates = self.model(batch.video, batch.text)
        value: LossValue = self.losses(build_context(candidates, batch))
        return value

    def validate(self, model: nn.Module) -> Metrics:
        """Return mIoU and R@1 at three IoUs of the best candidate, in [0, 1], over all validation queries, if any."""
        if self.validation_data is None:
            return {}
        parts: list[Tensor] = []
        for rows in iterate_batches(len(self.validation_data.queries), 64):
            batch = self.transfer_batch_to_device(self.validation_data.batch(rows), self.device, 0)
            found = model(batch.video, batch.text)
            parts.append(compute_first_iou(found, batch.targets).cpu())
        iou = torch.cat(parts).double()  # (Q,)
        recalls = {f"val/R1_iou{threshold}": (iou >= threshold).double().mean().item() for threshold in THRESHOLDS}
        return {"val/mIoU": iou.mean().item(), **recalls}


def build_context(candidates: Candidates, batch: LocalizerBatch) -> LossContext:
    """Return everything the losses of a localizer may read."""
    with torch.no_grad():
        iou = compute_target_iou(candidates.spans.detach(), batch.targets)
        inside = compute_inside(batch.targets, batch.video.mask, batch.video.duration_s)
    return LossContext(candidates=candidates, targets=batch.targets, iou=iou, cell_mask=batch.video.mask, inside=inside)


def compute_first_iou(candidates: Candidates, targets: Targets) -> Tensor:
    """Return the IoU of each row's best valid candidate with its true moments, (B,)."""
    scores = candidates.scores.masked_fill(~candidates.valid, float("-inf"))
    best = scores.argmax(1)[:, None, None].expand(-1, 1, 2)
    return compute_target_iou(candidates.spans.gather(1, best), targets)[:, 0]

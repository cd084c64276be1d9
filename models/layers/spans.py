"""Arithmetic of spans as tensors, in seconds; `corpus.moments` has the same rules in NumPy.

Letters: B rows, N cells, M candidates, G true moments, A and C spans of any kind.
"""

import torch
from torch import Tensor

from models.contracts.batches import Targets

SAME_IOU = 0.5  # moments of a video with at least this IoU count as the same


def compute_pairwise_iou(spans: Tensor, others: Tensor) -> Tensor:
    """Return the temporal IoU of every pair: (..., A, 2) and (..., C, 2) -> (..., A, C), 0 for two spans of length zero."""
    left, right = spans[..., :, None, :], others[..., None, :, :]
    overlap = torch.minimum(left[..., 1], right[..., 1]) - torch.maximum(left[..., 0], right[..., 0])
    overlap = overlap.clamp_min(0)
    union = (left[..., 1] - left[..., 0]) + (right[..., 1] - right[..., 0]) - overlap
    return torch.where(union > 0, overlap / union.clamp_min(torch.finfo(union.dtype).tiny), 0.0)


def compute_target_iou(spans: Tensor, targets: Targets) -> Tensor:
    """Return the IoU of each span with the true moment it overlaps most: (B, M, 2) -> (B, M), 0 without true moments."""
    return (compute_pairwise_iou(spans, targets.spans) * targets.mask[:, None]).amax(-1)


def compute_inside(targets: Targets, mask: Tensor, duration_s: Tensor) -> Tensor:
    """Return the share of each cell that the true moments cover: (B, N) in [0, 1], 0 at cells outside the video.

    The cells inside the video, (B, N) bool, cover `duration_s` (B,) evenly. The sum over overlapping true moments is capped
    at the full cell.
    """
    cell_s = (duration_s / mask.sum(1).clamp_min(1))[:, None, None]  # (B, 1, 1)
    start = torch.arange(mask.shape[1], device=mask.device)[None, :, None] * cell_s  # (B, N, 1)
    true = targets.spans[:, None]  # (B, 1, G, 2)
    covered = torch.minimum(start + cell_s, true[..., 1]) - torch.maximum(start, true[..., 0])  # (B, N, G)
    total = (covered.clamp_min(0) * targets.mask[:, None]).sum(-1) / cell_s[..., 0]
    return total.clamp_max(1) * mask


def find_near_moments(targets: Targets, min_iou: float) -> Tensor:
    """Return the pairs of rows of one video whose first moments have IoU >= `min_iou`, (B, B) bool."""
    spans = targets.spans[:, 0]  # (B, 2)
    same_video = targets.video_index[:, None] == targets.video_index[None, :]
    return same_video & (compute_pairwise_iou(spans, spans) >= min_iou)


def find_false_negatives(targets: Targets) -> Tensor:
    """Return unpaired rows that match, (B, B) bool, because they have the same sentence or the same moment.

    Two rows have the same moment if they share the video and their first spans have IoU >= 0.5.
    """
    same_text = targets.text_index[:, None] == targets.text_index[None, :]
    return same_text | find_near_moments(targets, SAME_IOU)


def compute_generalized_iou(spans: Tensor, others: Tensor) -> Tensor:
    """Return the one-dimensional generalised IoU of every pair: (..., A, 2) and (..., C, 2) -> (..., A, C) in [-1, 1].

    It is the IoU minus the share of the hull that neither span covers, so disjoint spans give -gap / hull.
    Source: Rezatofighi et al. 2019 (arXiv:1902.09630), in one dimension as in Moment-DETR (arXiv:2107.09609). Two spans of
    length zero at the same time give 0.
    """
    left, right = spans[..., :, None, :], others[..., None, :, :]
    overlap = torch.minimum(left[..., 1], right[..., 1]) - torch.maximum(left[..., 0], right[..., 0])  # negative: the gap
    hull = torch.maximum(left[..., 1], right[..., 1]) - torch.minimum(left[..., 0], right[..., 0])
    return overlap / hull.clamp_min(torch.finfo(hull.dtype).tiny)

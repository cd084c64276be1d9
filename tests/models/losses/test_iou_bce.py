"""Binary cross entropy against a threshold on IoU."""

import math

import pytest
import torch

from models.losses.iou_bce import IoUBCELoss


def test_iou_bce_asks_for_overlap_of_at_least_the_threshold() -> None:
    iou = torch.tensor([[0.49, 0.5, 0.9]])
    scores = torch.tensor([[0.0, math.log(3), math.log(3)]])  # probabilities 1/2, 3/4, 3/4
    loss = IoUBCELoss(0.5)(scores, iou, torch.ones_like(iou, dtype=torch.bool))
    assert loss.item() == pytest.approx(-(math.log(0.5) + 2 * math.log(0.75)) / 3)

"""Binary cross entropy of cells."""

import torch

from models.losses.inside_bce import InsideBCELoss


def test_inside_bce_is_log_two_without_signal_and_skips_masked_cells() -> None:
    saliency = torch.tensor([[0.0, 0.0, 99.0]])
    loss = InsideBCELoss()(saliency, torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(loss, torch.tensor(2.0).log())

"""Cross entropy over all spans of a video."""

import torch

from models.losses.span_softmax import SpanSoftmaxLoss


def test_span_softmax_by_hand() -> None:
    scores = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
    iou = torch.tensor([[1.0, 0.6, 0.2]])
    weight = 0.6**4
    expected = -(1 / (1 + weight)) * torch.log(torch.tensor(1 / 8)) - (weight / (1 + weight)) * torch.log(torch.tensor(2 / 8))
    loss = SpanSoftmaxLoss(min_iou=0.5, power=4.0)(scores, iou, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(loss, expected)


def test_span_softmax_takes_the_best_candidate_if_none_is_good_and_ignores_invalid_ones() -> None:
    scores = torch.tensor([[0.0, 0.0, 50.0]], requires_grad=True)
    loss = SpanSoftmaxLoss(min_iou=0.5, power=4.0)(scores, torch.tensor([[0.3, 0.1, 0.9]]), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(loss, torch.tensor(2.0).log())
    loss.backward()
    assert scores.grad is not None
    assert scores.grad[0, 2] == 0

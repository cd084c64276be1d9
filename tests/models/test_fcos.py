"""FCOS along time: its points, its pyramid, its spans and its losses."""

import math

import pytest
import torch
from streams import as_video, video_dims

from models.contracts.batches import Candidates, PointAnswers, Targets, TextFeatures, VideoFeatures
from models.layers.point_targets import assign_points, combine_logits, compute_centreness
from models.localizers.fcos import FCOS, FCOSParams
from models.localizers.fcos.pyramid import PointGrid, TemporalPyramid, halve_masks
from models.losses.fcos_centreness import FCOSCentrenessLoss
from models.losses.fcos_foreground import FCOSForegroundLoss
from models.losses.fcos_regression import FCOSRegressionLoss

DIMS = video_dims(dim=6, num_places=3, text_dim=5)


def make_points(*, reach: float = 100.0, foreground: float = 0.0, centreness: float = 0.0) -> PointAnswers:
    """Return points at 0.5, 1.5, .. 7.5 seconds of one video."""
    return PointAnswers(
        time_s=torch.arange(8)[None] + 0.5,
        reach_s=torch.tensor([0.0, reach]).expand(1, 8, 2),
        foreground=torch.full((1, 8), foreground),
        centreness=torch.full((1, 8), centreness),
    )


def make_targets(*spans: tuple[float, float]) -> Targets:
    index = torch.zeros(1, dtype=torch.long)
    return Targets(torch.tensor([spans]), torch.ones(1, len(spans), dtype=torch.bool), index, index)


VALID = torch.ones(1, 8, dtype=torch.bool)


def build(**values: object) -> FCOS:
    torch.manual_seed(0)
    return (
        FCOSParams.model_validate({"name": "fcos", "num_cells": 8, "hidden_dim": 8, "num_layers": 1, **values}).build(DIMS).eval()
    )


def make_inputs(num_inside: list[int]) -> tuple[VideoFeatures, TextFeatures]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(8)[None] < torch.tensor(num_inside)[:, None]
    video = as_video(torch.randn(len(num_inside), 8, 3, 6, generator=generator), mask, torch.tensor([16.0, 5.0]))
    tokens = torch.randn(len(num_inside), 4, 5, generator=generator)
    return video, TextFeatures(tokens, torch.ones(len(num_inside), 4, dtype=torch.bool), tokens.sum(1))


def test_points_of_a_moment_are_those_inside_it() -> None:
    found = assign_points(make_points(), make_targets((2.0, 5.0)), VALID)
    assert found.positive[0].tolist() == [False, False, True, True, True, False, False, False]
    assert found.spans[0, 3].tolist() == [2.0, 5.0]
    assert found.centreness[0, 3].item() == 1.0
    assert found.centreness[0, 2].item() == pytest.approx(math.sqrt(0.5 / 2.5))


def test_a_point_of_two_moments_takes_the_shorter() -> None:
    found = assign_points(make_points(), make_targets((0.0, 8.0), (2.0, 4.0)), VALID)
    assert found.spans[0, 2].tolist() == [2.0, 4.0]
    assert found.spans[0, 5].tolist() == [0.0, 8.0]


def test_a_point_takes_no_moment_out_of_its_reach_nor_outside_the_video() -> None:
    found = assign_points(make_points(reach=2.5), make_targets((0.0, 4.0)), VALID)
    assert found.positive[0, :4].tolist() == [False, True, True, False]  # farther ends at 3.5, 2.5, 2.5 and 3.5 seconds
    outside = VALID.clone()
    outside[:, 2:] = False
    assert not assign_points(make_points(), make_targets((2.0, 5.0)), outside).positive.any()


def test_centreness_is_one_in_the_middle_and_zero_at_the_ends_and_outside() -> None:
    span = torch.tensor([2.0, 6.0]).expand(4, 2)
    assert compute_centreness(torch.tensor([4.0, 2.0, 6.0, 9.0]), span).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_the_combined_logit_is_that_of_the_product_even_of_large_logits() -> None:
    first, second = torch.tensor([0.3, -2.0, 80.0, -90.0]), torch.tensor([1.0, 0.5, 90.0, -90.0])
    product = torch.sigmoid(first[:2]) * torch.sigmoid(second[:2])
    found = combine_logits(first, second)
    torch.testing.assert_close(found[:2], torch.logit(product))
    torch.testing.assert_close(found[2:], torch.tensor([80.0, -180.0]))


def test_foreground_loss_by_hand() -> None:
    points = make_points()._replace(foreground=torch.tensor([[0.0, 0, math.log(3), 0, 0, 0, 0, 0]]))
    loss = FCOSForegroundLoss(alpha=0.25, gamma=2.0)(points, make_targets((2.0, 3.0)), VALID)
    expected = 0.25 * 0.25**2 * -math.log(0.75) + 7 * 0.75 * 0.5**2 * math.log(2)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_losses_are_zero_and_finite_without_a_positive_point() -> None:
    targets = make_targets((2.6, 2.9))
    points = make_points(foreground=-90.0)
    candidates = Candidates(torch.zeros(1, 8, 2), torch.zeros(1, 8), VALID, points=points)
    assert FCOSForegroundLoss(alpha=0.25, gamma=2.0)(points, targets, VALID).item() == 0
    assert FCOSCentrenessLoss()(points, targets, VALID).item() == 0
    assert FCOSRegressionLoss()(candidates, points, targets).item() == 0


def test_centreness_loss_by_hand() -> None:
    loss = FCOSCentrenessLoss()(make_points(centreness=math.log(3)), make_targets((2.0, 5.0)), VALID)
    shares = [math.sqrt(0.2), 1.0, math.sqrt(0.2)]
    assert loss.item() == pytest.approx(sum(-y * math.log(0.75) - (1 - y) * math.log(0.25) for y in shares) / 3, rel=1e-5)


def test_regression_loss_is_zero_at_identity_and_weighted_by_centreness() -> None:
    points, targets = make_points(), make_targets((2.0, 5.0))
    spans = torch.tensor([2.0, 5.0]).repeat(1, 8, 1)
    assert FCOSRegressionLoss()(Candidates(spans, points.foreground, VALID), points, targets).item() == 0
    spans[0, 2] = torch.tensor([2.0, 3.5])  # IoU 1/2 at a point of centreness sqrt(1/5)
    loss = FCOSRegressionLoss()(Candidates(spans, points.foreground, VALID), points, targets)
    weight = math.sqrt(0.2)
    assert loss.item() == pytest.approx(0.5 * weight / (1 + 2 * weight), rel=1e-5)


def test_decoding_the_distances_to_a_span_gives_the_span_at_every_point_inside() -> None:
    model = build(num_levels=2)
    inside = (model.points.centre > 1) & (model.points.centre < 7)
    ends = torch.tensor([1.0, 7.0])
    distances = (model.points.centre[:, None] - ends).abs() / model.points.stride[:, None]
    found = model._decode(distances[None], torch.tensor([8]))
    torch.testing.assert_close(found[0][inside], ends.expand(int(inside.sum()), 2))


def test_spans_hold_their_point_and_stay_within_the_video() -> None:
    model = build(num_levels=3)
    torch.nn.init.constant_(model.head.distances.bias, 3.0)  # type: ignore[arg-type]
    video, text = make_inputs([8, 5])
    found = model(video, text)
    assert found.points is not None
    assert found.valid.sum(1).tolist() == [14, 8]  # points of 8, 4 and 2 cells; 5, 2 and 1 of them lie before cell 5
    for row, duration_s in enumerate((16.0, 5.0)):
        spans, time_s = found.spans[row][found.valid[row]], found.points.time_s[row][found.valid[row]]
        assert (spans[:, 0] >= 0).all()
        assert (spans[:, 1] <= duration_s).all()
        assert (spans[:, 0] < time_s).all()
        assert (spans[:, 1] > time_s).all()


def test_in_training_a_span_that_the_video_cuts_still_has_a_gradient() -> None:
    model = build().train()
    distances = torch.full((1, 14, 2), 50.0, requires_grad=True)
    spans = model._decode(distances, torch.tensor([8]))
    torch.testing.assert_close(spans[0, 0], torch.tensor([0.0, 8.0]))
    spans[..., 1].sum().backward()
    assert distances.grad is not None
    assert (distances.grad[..., 1] > 0).all()


def test_the_losses_reach_every_weight() -> None:
    model = build(neck={"name": "gcn"})
    found = model(*make_inputs([8, 8]))
    assert found.points is not None
    targets = Targets(
        torch.tensor([[[2.0, 14.0]], [[0.5, 1.5]]]), torch.ones(2, 1, dtype=torch.bool), torch.arange(2), torch.arange(2)
    )
    total = FCOSForegroundLoss(alpha=0.25, gamma=2.0)(found.points, targets, found.valid)
    total = total + FCOSCentrenessLoss()(found.points, targets, found.valid)
    (total + FCOSRegressionLoss()(found, found.points, targets)).backward()
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.isfinite().all()]
    assert idle == []


def test_a_pyramid_of_identity_laterals_adds_the_level_above() -> None:
    pyramid = TemporalPyramid(2, 2)
    for lateral in pyramid.lateral:
        torch.nn.init.dirac_(lateral.weight)  # type: ignore[arg-type]
        torch.nn.init.zeros_(lateral.bias)  # type: ignore[arg-type]
    low, high = torch.randn(1, 2, 4), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    unchanged, top = pyramid.merge([low, torch.zeros(1, 2, 2)])
    torch.testing.assert_close(unchanged, low)
    assert not top.any()
    torch.testing.assert_close(pyramid.merge([low, high])[0] - low, torch.tensor([[[1.0, 1, 2, 2], [3, 3, 4, 4]]]))


def test_levels_and_masks_have_half_the_cells_each() -> None:
    mask = torch.arange(8)[None] < 5
    masks = halve_masks(mask, 3)
    assert [level.sum().item() for level in masks] == [5, 3, 2]
    assert [level.shape[-1] for level in TemporalPyramid(2, 3)(torch.randn(1, 2, 8), masks)] == [8, 4, 2]


def test_every_length_is_in_the_reach_of_one_level() -> None:
    grid = PointGrid(8, 3, reach=4.0)
    assert grid.reach[[0, 8, 12]].tolist() == [[0.0, 4.0], [4.0, 8.0], [8.0, math.inf]]
    assert grid.centre[[0, 8, 12, 13]].tolist() == [0.5, 1.0, 2.0, 6.0]


def test_cells_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ValueError, match="3 levels halve the cells 2 times, which num_cells=6 does not allow"):
        build(num_cells=6)

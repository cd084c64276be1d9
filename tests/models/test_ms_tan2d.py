"""MS-2D-TAN: moments of its maps, layers against slow references, and outputs in training and evaluation."""

import itertools
from typing import Any

import pytest
import torch
from streams import as_video, replace_features, video_dims
from torch.nn import functional as F

from models.contracts.batches import TextFeatures, VideoFeatures
from models.layers.candidate_map import list_candidates
from models.layers.sentence_lstm import MeanSentenceLSTM
from models.localizers.ms_tan2d import MultiScaleTan2D, MultiScaleTan2DParams
from models.localizers.ms_tan2d.multiscale_map import (
    GatedMapConvolution,
    MultiScaleProposals,
    StableBatchNorm,
    find_same_moments,
    list_moments,
    plan_scales,
)

DIMS = video_dims(dim=6, num_places=3, text_dim=5)


def build(**values: Any) -> MultiScaleTan2D:
    torch.manual_seed(0)
    sizes = {"num_cells": 16, "num_scales": 3, "num_lengths": 4, "hidden_dim": 8, "kernel_size": 3} | values
    return MultiScaleTan2DParams(name="ms_tan2d", **sizes).build(DIMS).eval()


def make_text(lengths: list[int]) -> TextFeatures:
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    tokens = torch.randn(len(lengths), max(lengths), 5, generator=torch.Generator().manual_seed(1)) * mask[..., None]
    return TextFeatures(tokens, mask, tokens.sum(1))


def make_video(num_inside: list[int], num_clips: int = 16) -> VideoFeatures:
    features = torch.randn(len(num_inside), num_clips, 3, 6, generator=torch.Generator().manual_seed(2))
    mask = torch.arange(num_clips)[None] < torch.tensor(num_inside)[:, None]
    return as_video(features, mask, torch.tensor([32.0, 20.0, 10.0])[: len(num_inside)])


def test_each_scale_holds_every_length_from_each_of_its_starts_that_ends_in_time() -> None:
    expected = [
        (start * unit, (start + length) * unit - 1)
        for unit, starts in ((1, 16), (2, 8), (4, 4))
        for start in range(starts)
        for length in range(1, 5)
        if start + length <= starts
    ]
    assert list(map(tuple, list_moments(plan_scales(16, 4, 3)).tolist())) == expected


def test_the_different_moments_of_the_published_scales_are_the_sparse_candidates_of_2d_tan() -> None:
    different, _ = find_same_moments(list_moments(plan_scales(64, 16, 3)))
    assert different.tolist() == list_candidates(64, (16, 8, 8))[0].tolist()
    one_scale, _ = find_same_moments(list_moments(plan_scales(16, 16, 1)))
    assert one_scale.tolist() == list_candidates(16, (16,))[0].tolist()


def test_places_of_one_moment_are_all_found() -> None:
    cells = list_moments(plan_scales(8, 2, 3))
    different, same = find_same_moments(cells)
    assert len(different) == len({tuple(cell) for cell in cells.tolist()})
    for moment, places in zip(different.tolist(), same.tolist(), strict=True):
        assert set(places) == {place for place, cell in enumerate(cells.tolist()) if cell == moment}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_lengths": 3}, "num_lengths=3 must be even"),
        ({"num_cells": 18}, "3 scales of 4 lengths need a multiple of 4 cells and at least 16, got 18"),
        ({"num_cells": 12}, "at least 16, got 12"),
        ({"clips_per_cell": 3}, "num_cells=16 is not a multiple of clips_per_cell=3"),
        ({"kernel_size": 4}, "odd kernel_size, got 4"),
        ({"hidden_dim": 7}, "multiple of 2"),
    ],
)
def test_maps_that_do_not_fit_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**values)


def test_pooled_proposals_are_the_maximum_over_the_cells_of_each_moment() -> None:
    scales = plan_scales(16, 4, 3)
    cells = torch.rand(2, 3, 16)
    maps = MultiScaleProposals(scales, 3, "pool")(cells, torch.ones(2, 16, dtype=torch.bool))
    for scale, found in zip(scales, maps, strict=True):
        for start, length in itertools.product(range(scale.num_starts), range(1, 5)):
            first, last = start * scale.unit, (start + length) * scale.unit
            expected = cells[:, :, first:last].amax(-1) if last <= 16 else torch.zeros(2, 3)
            assert torch.equal(found[:, :, start, length - 1], expected)


def test_convolved_proposals_equal_a_slow_walk_over_the_layers() -> None:
    torch.manual_seed(0)
    proposals = MultiScaleProposals(plan_scales(8, 4, 2), 3, "conv").eval()
    cells = torch.randn(1, 3, 8)
    fine, coarse = proposals(cells, torch.ones(1, 8, dtype=torch.bool))
    first, second = proposals.get_submodule("layers.0"), proposals.get_submodule("layers.1")
    assert isinstance(first, torch.nn.ModuleList)
    assert isinstance(second, torch.nn.ModuleList)
    walked = cells
    for length, layer in enumerate(first, start=1):
        walked = layer(walked)
        torch.testing.assert_close(fine[..., : 9 - length, length - 1], walked)
    torch.testing.assert_close(coarse[..., :2], fine[:, :, ::2, 1::2])  # lengths 2 and 4 of every second start
    longer = second[0](walked)  # cells 2a .. 2a + 5
    torch.testing.assert_close(coarse[..., :2, 2], longer)
    torch.testing.assert_close(coarse[..., :1, 3], second[1](longer))
    assert (coarse[..., 2:, 2] == 0).all()


def test_a_gated_convolution_lets_all_channels_of_a_place_through_one_gate() -> None:
    torch.manual_seed(0)
    layer, moments = GatedMapConvolution(4, 3), torch.randn(1, 4, 6, 5)
    expected = F.relu(layer.convolution(moments)) / (1 + torch.exp(-layer.gate(moments)))
    torch.testing.assert_close(layer(moments), expected)
    assert layer.gate(moments).shape == (1, 1, 6, 5)


def test_one_value_a_channel_takes_the_running_statistics_in_training_and_leaves_them() -> None:
    norm = StableBatchNorm(2).train()
    inputs = torch.tensor([[[3.0], [-1.0]]])
    torch.testing.assert_close(norm(inputs), inputs, atol=1e-4, rtol=1e-4)
    assert norm.running_mean is not None
    assert (norm.running_mean == 0).all()


def test_a_sentence_is_the_mean_state_of_a_bidirectional_lstm_over_its_words() -> None:
    torch.manual_seed(0)
    own = MeanSentenceLSTM(5, hidden_dim=6, num_layers=2)
    plain = torch.nn.LSTM(5, 3, num_layers=2, bidirectional=True, batch_first=True)
    weights = {}
    for layer, (suffix, part) in itertools.product(range(2), (("", own.forwards), ("_reverse", own.backwards))):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            weights[f"{name}_l{layer}{suffix}"] = part[layer].state_dict()[f"{name}_l0"]
    plain.load_state_dict(weights)
    text = make_text([4, 2])
    found = own(text)
    for row, length in ((0, 4), (1, 2)):
        torch.testing.assert_close(found[row], plain(text.tokens[row : row + 1, :length])[0][0].mean(0))


def test_training_gives_all_scales_and_evaluation_each_span_once_with_its_best_score() -> None:
    model, video, text = build(), make_video([16, 16]), make_text([4, 2])
    merged = model(video, text)
    cells = list_moments(plan_scales(16, 4, 3))
    for module in (model, *model.heads):
        module.training = True  # the layers stay in evaluation mode
    everything = model(video, text)
    assert everything.scores.shape == (2, len(cells))
    different, _ = find_same_moments(cells)
    assert merged.spans[0].tolist() == [[2.0 * first, 2.0 * (last + 1)] for first, last in different.tolist()]
    for column, moment in enumerate(different.tolist()):
        places = [place for place, cell in enumerate(cells.tolist()) if cell == moment]
        best = max(places, key=lambda place: everything.scores[0, place].item())
        assert merged.scores[0, column] == everything.scores[0, best]
        assert merged.features is not None
        assert everything.features is not None
        torch.testing.assert_close(merged.features[0, column], everything.features[0, best])


def test_no_valid_candidate_ends_after_a_masked_video_and_padding_changes_nothing() -> None:
    model, video, text = build(clips_per_cell=2, num_cells=32), make_video([32, 17], 32), make_text([4, 2])
    found = model(video, text)
    assert found.spans[1][found.valid[1]].max().item() == pytest.approx(20.0)
    other = video.streams["video"].clone()
    other[1, 17:] = 50.0
    changed = model(replace_features(video, other), text)
    assert torch.equal(found.scores[found.valid], changed.scores[found.valid])


def test_a_training_batch_of_one_row_has_finite_gradients() -> None:
    model = build().train()
    model(make_video([16]), make_text([3])).scores.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_another_number_of_clips_is_refused() -> None:
    with pytest.raises(ValueError, match="reads 16 clips per video, got 15; resample them"):
        build()(make_video([15], 15), make_text([3]))

"""2D-TAN and the text-only floor on the dense grid."""

import numpy as np
import pytest
import torch
from torch import Tensor

from corpus.moments import build_dense_cells, compute_cell_spans
from models.blinds.text_only import TextOnlyParams
from models.exchange.batches import InputDims, TextFeatures, VideoFeatures
from models.localizers.tan2d import TAN2D, MapConvolution, TAN2DParams, build_map_index, build_running_max

DIMS = InputDims(feature_dim=6, num_places=3, text_dim=5)


def make_text(lengths: list[int], seed: int = 0) -> TextFeatures:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
    tokens = torch.randn(len(lengths), max(lengths), 5, generator=generator) * mask[..., None]
    return TextFeatures(tokens, mask, tokens.sum(1))


def make_video(num_valid: list[int], num_cells: int = 16, seed: int = 0) -> VideoFeatures:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(num_valid), num_cells, 3, 6, generator=generator)
    mask = torch.arange(num_cells)[None, :] < torch.tensor(num_valid)[:, None]
    return VideoFeatures(features, mask, torch.tensor([30.0, 20.0, 10.0])[: len(num_valid)])


@pytest.fixture
def localizer() -> TAN2D:
    torch.manual_seed(0)
    return TAN2DParams(name="tan2d", num_cells=16, hidden_dim=8, num_layers=2, kernel_size=3).build(DIMS).eval()


def build_map(cells: Tensor) -> Tensor:
    num_cells = cells.shape[-1]
    return build_running_max(cells)[..., build_map_index(num_cells).clamp_max(num_cells * (num_cells + 1) // 2 - 1)].reshape(
        *cells.shape, num_cells
    )


def test_a_map_of_16_cells_has_136_candidates(localizer: TAN2D) -> None:
    found = localizer(make_video([16, 16]), make_text([4, 2]))
    assert found.scores.shape == (2, 136)
    assert found.spans.shape == (2, 136, 2)
    assert found.valid.all()
    assert found.features is not None
    assert found.features.shape == (2, 136, 8)


def test_every_cell_of_the_pooled_map_is_the_maximum_over_its_span() -> None:
    cells = torch.randn(2, 4, 7)
    pooled = build_map(cells)
    for first, last in build_dense_cells(7).tolist():
        assert torch.equal(pooled[:, :, first, last], cells[:, :, first : last + 1].amax(-1))


def test_a_feature_that_is_one_hot_in_time_fills_exactly_the_cells_that_contain_it() -> None:
    cells = torch.zeros(1, 1, 6)
    cells[0, 0, 2] = 1
    pooled = build_map(cells)[0, 0]
    for first, last in build_dense_cells(6).tolist():
        assert pooled[first, last].item() == float(first <= 2 <= last)


def test_features_of_cells_outside_the_video_change_no_valid_score(localizer: TAN2D) -> None:
    video, text = make_video([16, 9]), make_text([4, 2])
    other = video.features.clone()
    other[1, 9:] = 100.0
    before, after = localizer(video, text), localizer(video._replace(features=other), text)
    assert torch.equal(before.scores[before.valid], after.scores[after.valid])
    assert before.valid[1].sum().item() == 9 * 10 // 2


def test_zero_prediction_weights_give_the_bias_everywhere(localizer: TAN2D) -> None:
    with torch.no_grad():
        localizer.predict.weight.zero_()
        localizer.predict.bias.fill_(0.25)
    found = localizer(make_video([16, 9]), make_text([4, 2]))
    assert (found.scores[found.valid] == 0.25).all()


def test_spans_are_those_of_the_grid_in_seconds(localizer: TAN2D) -> None:
    found = localizer(make_video([16]), make_text([3]))
    expected = compute_cell_spans(build_dense_cells(16), num_cells=16, duration_s=30.0)
    np.testing.assert_allclose(found.spans[0].numpy(), expected, rtol=1e-6)


def test_spans_of_a_partly_masked_video_cover_its_duration(localizer: TAN2D) -> None:
    found = localizer(make_video([8]), make_text([3]))
    assert found.spans[found.valid].max().item() == pytest.approx(30.0)


def test_padding_of_a_sentence_changes_nothing(localizer: TAN2D) -> None:
    video, text = make_video([16]), make_text([3])
    tokens = torch.cat([text.tokens, torch.zeros(1, 2, 5)], dim=1)
    padded = TextFeatures(tokens, torch.tensor([[True, True, True, False, False]]), text.pooled)
    torch.testing.assert_close(localizer(video, text).scores, localizer(video, padded).scores)


def test_map_convolution_divides_by_the_valid_cells_under_the_kernel() -> None:
    convolution = MapConvolution(1, kernel_size=3, num_layers=1)
    with torch.no_grad():
        convolution.convs[0].weight.fill_(1.0)
        convolution.convs[0].bias.zero_()
    valid = torch.ones(1, 1, 5, 5).triu()
    torch.testing.assert_close(convolution(valid, valid) * valid, valid)


def test_map_convolution_agrees_with_a_slow_loop_over_the_authors_layers() -> None:
    torch.manual_seed(1)
    stack, size, kernel = MapConvolution(2, kernel_size=3, num_layers=2), 4, 3
    valid = torch.ones(1, 1, size, size).triu()
    features = torch.randn(1, 2, size, size) * valid
    found = stack(features, valid)
    pad = (kernel - 1) * 2 // 2
    values = torch.nn.functional.pad(features, [pad] * 4)[0]
    mask = torch.nn.functional.pad(valid, [pad] * 4)[0, 0]
    for layer in stack.convs:
        width = values.shape[-1] - kernel + 1
        outputs, grown = torch.zeros(2, width, width), torch.zeros(width, width)
        for row in range(width):
            for column in range(width):
                count = mask[row : row + kernel, column : column + kernel].sum()
                patch = values[:, row : row + kernel, column : column + kernel]
                if count > 0:
                    outputs[:, row, column] = ((layer.weight * patch).sum((1, 2, 3)) + layer.bias).relu() / count
                    grown[row, column] = 1
        values, mask = outputs, grown
    torch.testing.assert_close(found[0], values)


def test_gradients_reach_every_weight_and_are_finite(localizer: TAN2D) -> None:
    localizer(make_video([16, 9]), make_text([4, 2])).scores.square().mean().backward()
    for name, parameter in localizer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_the_text_only_floor_ignores_the_video() -> None:
    torch.manual_seed(0)
    blind = TextOnlyParams(name="text_only", num_cells=16, hidden_dim=8).build(DIMS).eval()
    text = make_text([4, 2])
    first, second = blind(make_video([16, 16]), text), blind(make_video([16, 16], seed=1), text)
    assert torch.equal(first.scores, second.scores)
    assert first.scores.shape == (2, 136)
    assert not torch.equal(first.scores[0], first.scores[1])


def test_the_text_only_floor_needs_no_features_but_the_duration() -> None:
    blind = TextOnlyParams(name="text_only", num_cells=16, hidden_dim=8).build(DIMS).eval()
    video = make_video([16])._replace(features=torch.zeros(1, 16, 1, 1))
    assert blind(video, make_text([4])).spans.max().item() == pytest.approx(30.0)

"""2D-TAN and the text-only floor on the dense grid."""

import numpy as np
import pytest
import torch
from streams import as_video, replace_features, video_dims

from corpus.moments import build_dense_cells, compute_cell_spans
from models.blinds.text_only import TextOnlyParams
from models.contracts.batches import TextFeatures, VideoFeatures
from models.localizers.tan2d import Tan2D, Tan2DParams

DIMS = video_dims(dim=6, num_places=3, text_dim=5)


def make_text(lengths: list[int], seed: int = 0) -> TextFeatures:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
    tokens = torch.randn(len(lengths), max(lengths), 5, generator=generator) * mask[..., None]
    return TextFeatures(tokens, mask, tokens.sum(1))


def make_video(num_valid: list[int], num_cells: int = 16, seed: int = 0) -> VideoFeatures:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(num_valid), num_cells, 3, 6, generator=generator)
    mask = torch.arange(num_cells)[None, :] < torch.tensor(num_valid)[:, None]
    return as_video(features, mask, torch.tensor([30.0, 20.0, 10.0])[: len(num_valid)])


@pytest.fixture
def localizer() -> Tan2D:
    torch.manual_seed(0)
    return Tan2DParams(name="tan2d", num_cells=16, hidden_dim=8, num_layers=2, kernel_size=3).build(DIMS).eval()


def test_a_map_of_16_cells_has_136_candidates(localizer: Tan2D) -> None:
    found = localizer(make_video([16, 16]), make_text([4, 2]))
    assert found.scores.shape == (2, 136)
    assert found.spans.shape == (2, 136, 2)
    assert found.valid.all()
    assert found.features is not None
    assert found.features.shape == (2, 136, 8)


def test_features_of_cells_outside_the_video_change_no_valid_score(localizer: Tan2D) -> None:
    video, text = make_video([16, 9]), make_text([4, 2])
    other = video.streams["video"].clone()
    other[1, 9:] = 100.0
    before, after = localizer(video, text), localizer(replace_features(video, other), text)
    assert torch.equal(before.scores[before.valid], after.scores[after.valid])
    assert before.valid[1].sum().item() == 9 * 10 // 2


def test_zero_prediction_weights_give_the_bias_everywhere(localizer: Tan2D) -> None:
    with torch.no_grad():
        localizer.predict.weight.zero_()
        localizer.predict.bias.fill_(0.25)
    found = localizer(make_video([16, 9]), make_text([4, 2]))
    assert (found.scores[found.valid] == 0.25).all()


def test_spans_are_those_of_the_grid_in_seconds(localizer: Tan2D) -> None:
    found = localizer(make_video([16]), make_text([3]))
    expected = compute_cell_spans(build_dense_cells(16), num_cells=16, duration_s=30.0)
    np.testing.assert_allclose(found.spans[0].numpy(), expected, rtol=1e-6)


def test_spans_of_a_partly_masked_video_cover_its_duration(localizer: Tan2D) -> None:
    found = localizer(make_video([8]), make_text([3]))
    assert found.spans[found.valid].max().item() == pytest.approx(30.0)


def test_padding_of_a_sentence_changes_nothing(localizer: Tan2D) -> None:
    video, text = make_video([16]), make_text([3])
    tokens = torch.cat([text.tokens, torch.zeros(1, 2, 5)], dim=1)
    padded = TextFeatures(tokens, torch.tensor([[True, True, True, False, False]]), text.pooled)
    torch.testing.assert_close(localizer(video, text).scores, localizer(video, padded).scores)


def test_gradients_reach_every_weight_and_are_finite(localizer: Tan2D) -> None:
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
    video = make_video([16])._replace(streams={})
    assert blind(video, make_text([4])).spans.max().item() == pytest.approx(30.0)

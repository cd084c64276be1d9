"""PlaceTAN beyond the contract of all localizers."""

import pytest
import torch
from streams import as_video, replace_features, video_dims

from models.contracts.batches import TextFeatures, VideoFeatures
from models.localizers.place_tan import PlaceTAN, PlaceTANParams

DIMS = video_dims(dim=6, num_places=5, text_dim=6)


def build() -> PlaceTAN:
    torch.manual_seed(0)
    params = PlaceTANParams(name="place_tan", num_cells=8, hidden_dim=12, text_hidden_dim=8, map_dim=4, num_layers=2)
    return params.build(DIMS).eval()


def draw_inputs(*, num_words: int = 4, seed: int = 1) -> tuple[VideoFeatures, TextFeatures]:
    generator = torch.Generator().manual_seed(seed)
    video = as_video(torch.randn(2, 8, 5, 6, generator=generator), torch.ones(2, 8, dtype=torch.bool), torch.tensor([8.0, 16.0]))
    tokens = torch.randn(2, num_words, 6, generator=generator)
    return video, TextFeatures(tokens, torch.ones(2, num_words, dtype=torch.bool), tokens.sum(1))


def test_widths_of_places_and_words_must_agree() -> None:
    with pytest.raises(ValueError, match="the width of video, 6, must equal text_dim=7"):
        PlaceTANParams(name="place_tan").build(video_dims(dim=6, num_places=5, text_dim=7))


def test_padding_the_sentence_changes_nothing() -> None:
    model = build()
    video, text = draw_inputs()
    padded = TextFeatures(
        torch.nn.functional.pad(text.tokens, (0, 0, 0, 3)), torch.nn.functional.pad(text.mask, (0, 3)), text.pooled
    )
    torch.testing.assert_close(model(video, text).scores, model(video, padded).scores)


def test_the_order_of_places_does_not_matter() -> None:
    model = build()
    video, text = draw_inputs()
    turned = replace_features(video, video.streams["video"][:, :, torch.tensor([3, 1, 4, 0, 2])])
    torch.testing.assert_close(model(video, text).scores, model(turned, text).scores)


def test_cells_outside_the_video_change_no_valid_score() -> None:
    model = build()
    video, text = draw_inputs()
    mask = video.mask.clone()
    mask[:, 6:] = False
    video = video._replace(mask=mask)
    noisy = replace_features(video, video.streams["video"] + 9.0 * (~mask)[..., None, None])
    quiet = model(video, text)
    torch.testing.assert_close(model(noisy, text).scores[quiet.valid], quiet.scores[quiet.valid])
    assert quiet.valid.sum(1).tolist() == [21, 21]


def test_span_mean_equals_a_slow_loop() -> None:
    model = build()
    cells = torch.randn(1, 8, 12)
    first, last, inside = model.span_map.parts(cells).chunk(3, dim=-1)
    hidden = torch.zeros(1, 4, 8, 8)
    for i in range(8):
        for j in range(i, 8):
            hidden[0, :, i, j] = torch.relu(first[0, i] + last[0, j] + inside[0, i : j + 1].mean(0))
    expected = model.span_map.score(torch.relu(model.span_map.convolution(hidden)) + hidden)[:, 0]
    torch.testing.assert_close(model.span_map(cells), expected)

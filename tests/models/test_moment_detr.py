"""Moment-DETR: spans, scores, positions, layers and invariances."""

import math
from typing import Any

import pytest
import torch
from streams import as_video, replace_features, video_dims
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import Candidates, TextFeatures, VideoFeatures
from models.localizers.moment_detr import MomentDETR, MomentDETRParams
from models.localizers.moment_detr.network import MIN_WIDTH, InputProjection, clip_spans
from models.localizers.moment_detr.transformer import DecoderLayer, DetrTransformer, EncoderLayer, compute_sine_positions

DIMS = video_dims(dim=6, num_places=3, text_dim=5)


def build(**values: Any) -> MomentDETR:
    torch.manual_seed(0)
    sizes = {"num_cells": 8, "hidden_dim": 16, "feedforward_dim": 20, "num_heads": 2, "num_queries": 4} | values
    return MomentDETRParams(name="moment_detr", **sizes).build(DIMS).eval()


def make_text(lengths: list[int]) -> TextFeatures:
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    tokens = torch.randn(len(lengths), max(lengths), 5, generator=torch.Generator().manual_seed(1)) * mask[..., None]
    return TextFeatures(tokens, mask, tokens.sum(1))


def make_video(num_inside: list[int]) -> VideoFeatures:
    features = torch.randn(len(num_inside), 8, 3, 6, generator=torch.Generator().manual_seed(2))
    mask = torch.arange(8)[None] < torch.tensor(num_inside)[:, None]
    return as_video(features, mask, torch.tensor([32.0, 20.0, 10.0])[: len(num_inside)])


def assert_alike(found: Candidates, expected: Candidates) -> None:
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.spans, expected.spans, atol=1e-4, rtol=1e-4)


def test_the_answer_is_one_candidate_a_query_with_a_saliency_a_cell_and_the_earlier_layers() -> None:
    found = build(num_layers=3)(make_video([8, 5]), make_text([4, 2]))
    assert found.spans.shape == (2, 4, 2)
    assert found.saliency is not None
    assert found.saliency.shape == (2, 8)
    assert found.features is None
    assert [layer.scores.shape for layer in found.auxiliary] == [(2, 4), (2, 4)]
    assert not torch.equal(found.auxiliary[0].scores, found.scores)


def test_centres_and_widths_become_spans_of_the_video() -> None:
    spans = clip_spans(torch.tensor([[[0.5, 0.2], [0.1, 0.6], [0.9, 0.6], [0.5, 1.0]]]))
    torch.testing.assert_close(spans, torch.tensor([[[0.4, 0.6], [0.0, 0.4], [0.6, 1.0], [0.0, 1.0]]]))


def test_no_span_is_empty_or_leaves_the_video_even_where_sigmoids_saturate() -> None:
    spans = clip_spans(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.5, 0.0], [1.0, 1.0], [0.3, 1e-9]]]))
    assert (spans >= 0).all()
    assert (spans <= 1).all()
    assert (spans[..., 1] - spans[..., 0] >= 0.49 * MIN_WIDTH).all()


def test_a_clipped_span_keeps_its_gradient() -> None:
    spans_cxw = torch.tensor([[[0.1, 0.6]]], requires_grad=True)
    clip_spans(spans_cxw)[..., 0].sum().backward()
    assert spans_cxw.grad is not None
    assert spans_cxw.grad.tolist() == [[[1.0, -0.5]]]


def test_a_score_is_the_logit_of_the_foreground_in_the_softmax_of_both_classes() -> None:
    model, hidden = build(), torch.randn(2, 4, 16)
    found = model._answer(hidden, None, torch.tensor([10.0, 20.0]))
    torch.testing.assert_close(found.scores.sigmoid(), model.foreground(hidden).softmax(-1)[..., 0])


def test_positions_turn_once_over_a_video_of_any_length() -> None:
    mask = torch.arange(4)[None] < torch.tensor([4, 2])[:, None]
    found = compute_sine_positions(mask, 6)
    for row, num_cells in ((0, 4), (1, 2)):
        for cell in range(num_cells):
            angle = 2 * math.pi * (cell + 1) / num_cells
            expected = [turn(angle / 10000 ** (2 * pair / 6)) for pair in range(3) for turn in (math.sin, math.cos)]
            assert found[row, cell].tolist() == pytest.approx(expected, abs=1e-5)


def copy_layer(own: EncoderLayer | DecoderLayer, torch_layer: nn.Module) -> None:
    """Copy our weights into torch's layer of the same form."""
    attends = [own.attend] if isinstance(own, EncoderLayer) else [own.attend_queries, own.attend_memory]
    for name, attend in zip(("self_attn", "multihead_attn"), attends, strict=False):
        torch_layer.get_submodule(name).load_state_dict(attend.attention.state_dict())
    norms = [attend.norm for attend in attends] + [own.feed_forward.norm]
    pairs = [(f"norm{index}", norm) for index, norm in enumerate(norms, start=1)]
    for name, module in [*pairs, ("linear1", own.feed_forward.enter), ("linear2", own.feed_forward.leave)]:
        torch_layer.get_submodule(name).load_state_dict(module.state_dict())


def test_without_positions_the_layers_are_those_of_a_plain_transformer() -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"num_heads": 2, "feedforward_dim": 12, "dropout": 0.0}
    encoder, decoder = EncoderLayer(8, **sizes), DecoderLayer(8, **sizes)
    plain_encoder = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True)
    plain_decoder = nn.TransformerDecoderLayer(8, 2, 12, 0.0, batch_first=True)
    copy_layer(encoder, plain_encoder)
    copy_layer(decoder, plain_decoder)
    sequence, queries, none = torch.randn(2, 5, 8), torch.randn(2, 3, 8), torch.zeros(2, 5, 8)
    ignored = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    torch.testing.assert_close(
        encoder(sequence, none, ignored)[~ignored], plain_encoder(sequence, src_key_padding_mask=ignored)[~ignored]
    )
    torch.testing.assert_close(
        decoder(queries, torch.zeros_like(queries), sequence, none, ignored),
        plain_decoder(queries, sequence, memory_key_padding_mask=ignored),
    )


def test_positions_enter_queries_and_keys_but_not_values() -> None:
    torch.manual_seed(0)
    layer, sequence, positions = (
        EncoderLayer(4, num_heads=1, feedforward_dim=6, dropout=0.0),
        torch.randn(1, 3, 4),
        torch.randn(1, 3, 4),
    )
    attention = layer.attend.attention
    query, key, value = (
        F.linear(inputs, weight, bias)
        for inputs, weight, bias in zip(
            (sequence + positions, sequence + positions, sequence),
            attention.in_proj_weight.chunk(3),
            attention.in_proj_bias.chunk(3),
            strict=True,
        )
    )
    attended = (query @ key.transpose(1, 2) / 2).softmax(-1) @ value
    expected = layer.feed_forward(layer.attend.norm(sequence + attention.out_proj(attended)))
    found = layer(sequence, positions, torch.zeros(1, 3, dtype=torch.bool))
    torch.testing.assert_close(found, expected)


def test_the_queries_of_a_transformer_start_from_nothing_but_themselves() -> None:
    torch.manual_seed(0)
    transformer = DetrTransformer(8, num_queries=3, num_layers=2, num_heads=2, feedforward_dim=12, dropout=0.0).eval()
    sequence, positions, mask = torch.randn(2, 5, 8), torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    layers, memory = transformer(sequence, positions, mask)
    expected: Tensor = sequence
    for layer in transformer.encoder:
        expected = layer(expected, positions, ~mask)
    torch.testing.assert_close(memory, expected)
    hidden, queries = torch.zeros(2, 3, 8), transformer.queries.weight.expand(2, -1, -1)
    for layer, found in zip(transformer.decoder, layers, strict=True):
        hidden = layer(hidden, queries, memory, positions, ~mask)
        torch.testing.assert_close(found, transformer.norm(hidden))


def test_a_clip_takes_the_best_of_its_places_in_any_order() -> None:
    torch.manual_seed(0)
    projection, places = InputProjection(6, 4, 0.5).eval(), torch.randn(2, 3, 5, 6)
    each = torch.stack([projection.enter(places[:, :, place]) for place in range(5)]).amax(0)
    torch.testing.assert_close(projection(places), projection.leave(each.relu()))


def test_padding_of_words_and_cells_changes_nothing() -> None:
    model, video, text = build(align_dim=3), make_video([8, 5]), make_text([4, 2])
    expected = model(video, text)
    longer = TextFeatures(F.pad(text.tokens, (0, 0, 0, 3), value=7.0), F.pad(text.mask, (0, 3)), text.pooled)
    other = video.streams["video"].clone()
    other[1, 5:] = 50.0
    found = model(replace_features(video, other), longer)
    assert_alike(found, expected)
    torch.testing.assert_close(found.query, expected.query)
    assert found.saliency is not None
    assert expected.saliency is not None
    torch.testing.assert_close(found.saliency[video.mask], expected.saliency[video.mask], atol=1e-5, rtol=1e-4)


def test_longer_videos_of_the_same_clips_give_longer_spans() -> None:
    model, video, text = build(), make_video([8, 8]), make_text([4, 2])
    found = model(video._replace(duration_s=3 * video.duration_s), text)
    torch.testing.assert_close(found.spans, 3 * model(video, text).spans)


def test_alignment_gives_unit_vectors_of_the_queries_and_the_sum_of_those_of_the_words() -> None:
    model = build(align_dim=3)
    found = model(make_video([8, 5]), make_text([4, 2]))
    assert model.embedding_dim == 3
    assert found.features is not None
    assert found.query is not None
    torch.testing.assert_close(found.features.norm(dim=-1), torch.ones(2, 4))
    assert (found.query.norm(dim=-1) <= torch.tensor([4.0, 2.0]) + 1e-5).all()
    assert found.auxiliary[0].features is not None
    assert found.auxiliary[0].features.shape == (2, 4, 3)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden_dim to be a multiple of num_heads, got 16, 3"):
        build(num_heads=3)

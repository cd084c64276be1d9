"""The contract of every text encoder, and the pooling of `word_vectors`."""

from typing import get_args

import pytest
import torch

from corpus.text import PADDING, UNKNOWN
from models.exchange.roles import TextEncoder
from models.exchange.roles import TextEncoderParams as Role
from models.text_encoders import TextEncoderParams

MEMBERS = get_args(TextEncoderParams) or (TextEncoderParams,)
IDS = torch.tensor([[2, 3, 4], [5, 2, 0]])


def build(member: type[Role], **values: object) -> TextEncoder:
    torch.manual_seed(0)
    name = get_args(member.model_fields["name"].annotation)[0]
    return member.model_validate({"name": name, **values}).build(vocabulary_size=8).eval()


@pytest.mark.parametrize("member", MEMBERS)
def test_every_text_encoder_gives_word_vectors_their_mask_and_one_sentence_vector(member: type[Role]) -> None:
    features = build(member)(IDS)
    width = features.pooled.shape[1]
    assert features.tokens.shape == (2, 3, width)
    assert features.mask.tolist() == [[True, True, True], [True, True, False]]
    assert features.tokens[1, 2].abs().sum() == 0


@pytest.mark.parametrize("member", MEMBERS)
def test_padding_changes_nothing(member: type[Role]) -> None:
    encoder = build(member)
    short, padded = encoder(IDS), encoder(torch.nn.functional.pad(IDS, (0, 4)))
    torch.testing.assert_close(short.pooled, padded.pooled)
    torch.testing.assert_close(short.tokens, padded.tokens[:, :3])


@pytest.mark.parametrize("member", MEMBERS)
def test_gradients_reach_the_words_of_a_sentence_and_are_finite(member: type[Role]) -> None:
    encoder = build(member)
    encoder(IDS).pooled.square().sum().backward()
    gradients = [weight.grad for weight in encoder.parameters() if weight.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_word_vectors_pool_by_sum_or_by_mean_over_the_words() -> None:
    total = build(TextEncoderParams, pooling="sum")(IDS)
    mean = build(TextEncoderParams, pooling="mean")(IDS)
    torch.testing.assert_close(total.pooled, total.tokens.sum(dim=1))
    torch.testing.assert_close(mean.pooled, total.pooled / torch.tensor([[3.0], [2.0]]))


def test_unknown_words_add_nothing_and_the_padding_row_never_learns() -> None:
    encoder = build(TextEncoderParams)
    known = encoder(torch.tensor([[2, 3]])).pooled
    torch.testing.assert_close(encoder(torch.tensor([[2, UNKNOWN, 3]])).pooled, known)
    encoder(IDS).pooled.sum().backward()
    gradient = next(encoder.parameters()).grad
    assert gradient is not None
    assert gradient[PADDING].abs().sum() == 0

"""The dual encoder and the computations of its training."""

import numpy as np
import pytest
import torch
from streams import video_dims

from corpus.moments import build_dense_cells, score_spans
from models.contracts.batches import Targets, TextFeatures
from models.layers.spans import find_false_negatives
from models.retrievers.dual_encoder import DualEncoder, DualEncoderParams
from models.training.retriever import build_span_weights, embed_moments

DIMS = video_dims(dim=6, num_places=3, text_dim=5)


@pytest.fixture
def retriever() -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoderParams(name="dual_encoder", embedding_dim=8, hidden_dim=16, text_hidden_dim=8).build(DIMS).eval()


def test_clips_are_unit_vectors(retriever: DualEncoder) -> None:
    vectors = retriever.embed_clips({"video": torch.randn(7, 3, 6)})
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(7))
    assert vectors.shape == (7, 8)


def test_a_clip_does_not_depend_on_the_clips_beside_it(retriever: DualEncoder) -> None:
    clips = torch.randn(7, 3, 6)
    torch.testing.assert_close(retriever.embed_clips({"video": clips})[2:3], retriever.embed_clips({"video": clips[2:3]}))


def test_a_clip_does_not_depend_on_the_order_of_its_places(retriever: DualEncoder) -> None:
    clips = torch.randn(4, 3, 6)
    turned = {"video": clips[:, [2, 0, 1]]}
    torch.testing.assert_close(retriever.embed_clips({"video": clips}), retriever.embed_clips(turned))


def test_queries_are_unit_vectors_that_padding_does_not_change(retriever: DualEncoder) -> None:
    tokens, mask = torch.randn(2, 3, 5), torch.ones(2, 3, dtype=torch.bool)
    padded = torch.cat([tokens, torch.zeros(2, 2, 5)], dim=1)
    padded_mask = torch.cat([mask, torch.zeros(2, 2, dtype=torch.bool)], dim=1)
    short = retriever.embed_queries(TextFeatures(tokens, mask, tokens.sum(1)))
    long = retriever.embed_queries(TextFeatures(padded, padded_mask, tokens.sum(1)))
    torch.testing.assert_close(short.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(short, long)


def test_a_moment_is_the_normalised_mean_of_its_clips() -> None:
    clips = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(embed_moments(clips, shares), torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, -1.0]]))


def test_pairs_of_one_sentence_or_one_moment_are_false_negatives() -> None:
    targets = Targets(
        spans=torch.tensor([[[0.0, 4.0]], [[1.0, 4.0]], [[6.0, 9.0]], [[0.0, 4.0]]]),
        mask=torch.ones(4, 1, dtype=torch.bool),
        video_index=torch.tensor([0, 0, 0, 1]),
        text_index=torch.tensor([0, 1, 2, 2]),
    )
    expected = torch.eye(4, dtype=torch.bool)
    expected[0, 1] = expected[1, 0] = True  # IoU 3/4 in one video
    expected[2, 3] = expected[3, 2] = True  # one sentence
    assert torch.equal(find_false_negatives(targets), expected)


def test_span_weights_score_spans_as_search_does() -> None:
    clip_scores = np.random.default_rng(0).normal(size=9)
    expected = score_spans(clip_scores, build_dense_cells(9))
    found = build_span_weights(9) @ torch.from_numpy(clip_scores).float()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)

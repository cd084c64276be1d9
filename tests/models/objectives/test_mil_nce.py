"""The formulas of `mil_nce`."""

import math

import numpy as np
import pytest
import torch

from corpus.media import ClipSampling
from corpus.text import Vocabulary
from models.contracts.roles import TextStart
from models.encoders.text.word_vectors import WordVectorsParams
from models.encoders.video.place_cnn import PlaceCNNParams
from models.layers.place_alignment import compute_place_scores
from models.objectives.augmentation import AugmentationParams
from models.objectives.base import ClipBatch, ObjectiveTraining
from models.objectives.mil_nce import (
    MILNCEObjective,
    MILNCEParams,
    compute_rarity,
    compute_word_loss,
)
from models.optimizers.adamw import AdamWParams

TRAINING = ObjectiveTraining(max_epochs=1, optimizer=AdamWParams(learning_rate=0.01))
TEXTS = ("red moves left", "blue moves right", "red spins after blue")
SAMPLING = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)


def build_objective(*, text_dim: int = 8, **values: object) -> MILNCEObjective:
    torch.manual_seed(0)
    params = MILNCEParams.model_validate(
        {
            "name": "mil_nce",
            "training": TRAINING,
            "temporal_words": ["after"],
            "mirrored_words": [["left", "right"], ["east", "west"]],
            **values,
        }
    )
    vocabulary = Vocabulary.from_texts(TEXTS)
    video = PlaceCNNParams(name="place_cnn", sampling=SAMPLING, channels=(8, 8, 8), dim=8, norm_groups=2).build()
    text = WordVectorsParams(name="word_vectors", dim=text_dim)
    return params.build(video, TextStart(text, vocabulary, text.build(len(vocabulary))), TEXTS)


def build_clip_batch() -> ClipBatch:
    frames = np.random.default_rng(0).integers(0, 256, size=(4, 3, 16, 16, 3), dtype=np.uint8)
    covers = np.array([[True, True, False, False], [False, False, True, False]])
    spans_s = np.array([[0.0, 0.5], [0.5, 1.0]] * 2)
    return ClipBatch(frames, ("a", "b"), np.array([0, 0, 1, 1]), spans_s, TEXTS[:2], covers)


def test_the_score_of_a_clip_is_the_log_sum_over_its_places_of_the_dot_products() -> None:
    places = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]])
    scores = compute_place_scores(places, torch.tensor([[1.0, 1.0]]))
    assert scores.tolist() == [[pytest.approx(math.log(math.e + math.e**2)), pytest.approx(math.log(2))]]


def test_words_that_agree_at_one_place_score_higher_than_words_at_different_places() -> None:
    red, square = torch.tensor([4.0, 0.0]), torch.tensor([0.0, 4.0])
    together = torch.stack([torch.stack([red + square, torch.zeros(2)])])
    apart = torch.stack([torch.stack([red, square])])
    sentence = (red + square)[None]
    assert compute_place_scores(together, sentence) > compute_place_scores(apart, sentence)


def test_scores_of_different_widths_are_refused_with_both_widths() -> None:
    with pytest.raises(ValueError, match="one width, got 8 and 4"):
        build_objective(text_dim=4)(build_clip_batch(), np.random.default_rng(0))


def test_the_word_loss_is_the_cross_entropy_against_the_normalised_weights() -> None:
    targets = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    assert compute_word_loss(torch.zeros(3, 2), targets).item() == pytest.approx(math.log(3))
    scores = torch.tensor([[1.0, 5.0], [0.0, 5.0], [0.0, 5.0]])
    total = math.log(math.e + 2)
    assert compute_word_loss(scores, targets).item() == pytest.approx(0.75 * (total - 1) + 0.25 * total)


def test_rarity_is_zero_for_a_word_of_every_sentence_and_grows_with_the_rarity() -> None:
    words = ("the", "red", "square", "never")
    rarity = compute_rarity(["the red square", "the square", "the red", "the the"], words)
    assert rarity.tolist() == [0.0, pytest.approx(math.log(2)), pytest.approx(math.log(2)), 0.0]


def test_sentences_with_a_temporal_word_are_not_read() -> None:
    objective = build_objective()
    assert [objective.reads(text) for text in TEXTS] == [True, True, False]
    assert objective.reads("an afterthought")


def test_the_loss_is_the_sum_of_its_parts_with_the_word_weight() -> None:
    objective = build_objective(word_weight=0.25).eval()
    step = objective(build_clip_batch(), np.random.default_rng(0))
    figures = step.figures
    expected = figures["sentence_to_clips"] + figures["clip_to_sentences"] + 0.25 * figures["words"]
    assert step.loss.item() == pytest.approx(expected.item())
    assert figures["chance"].item() == pytest.approx(3 / 8)


def test_a_mirrored_batch_swaps_its_words_and_leaves_words_without_a_partner_alone() -> None:
    objective = build_objective(augmentation=AugmentationParams(shift_px=0, brightness=0, flip_probability=1.0)).train()
    batch = build_clip_batch()
    frames, texts = objective._augment(batch, np.random.default_rng(0))
    assert (frames == batch.frames[:, :, :, ::-1]).all()
    assert texts == ("red moves right", "blue moves left")


def test_evaluation_mode_changes_no_frame() -> None:
    objective, batch = build_objective().eval(), build_clip_batch()
    frames, _ = objective._augment(batch, np.random.default_rng(0))
    assert (frames == batch.frames).all()


def test_a_batch_without_sentences_costs_nothing_and_has_a_gradient() -> None:
    objective = build_objective()
    batch = build_clip_batch()._replace(texts=(), covers=np.zeros((0, 4), dtype=bool))
    step = objective(batch, np.random.default_rng(0))
    step.loss.backward()
    assert step.loss.item() == 0
    assert "accuracy" not in step.figures

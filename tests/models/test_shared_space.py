"""The space of the encoders as a retriever: its vectors are those of the encoders, made one a clip and of unit length."""

import pytest
import torch
from streams import video_dims

from models.contracts.batches import TextFeatures
from models.retrievers.shared_space import SharedSpaceParams

DIMS = video_dims(dim=2, num_places=2, text_dim=2)
CLIPS = {"video": torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[6.0, 2.0], [0.0, 6.0]]])}


@pytest.mark.parametrize(("pooling", "expected"), [("mean", [[0.6, 0.8], [0.6, 0.8]]), ("max", [[0.6, 0.8], [0.7071, 0.7071]])])
def test_a_clip_is_the_direction_of_its_pooled_places(pooling: str, expected: list[list[float]]) -> None:
    model = SharedSpaceParams.model_validate({"name": "shared_space", "pooling": pooling}).build(DIMS)
    torch.testing.assert_close(model.embed_clips(CLIPS), torch.tensor(expected), atol=1e-4, rtol=0)


def test_a_sentence_is_its_direction_and_one_without_known_words_is_0() -> None:
    model = SharedSpaceParams(name="shared_space").build(DIMS)
    pooled = torch.tensor([[30.0, 40.0], [0.0, 0.0]])
    text = TextFeatures(pooled[:, None], torch.ones(2, 1, dtype=torch.bool), pooled)
    torch.testing.assert_close(model.embed_queries(text), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def test_it_has_no_weights() -> None:
    assert not list(SharedSpaceParams(name="shared_space").build(DIMS).parameters())


def test_clips_and_sentences_of_different_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="shared_space compares clips .* width of video, 2, must equal text_dim=3"):
        SharedSpaceParams(name="shared_space").build(video_dims(dim=2, num_places=2, text_dim=3))

"""What every localizer, text-only floor and retriever must do, whoever wrote it: one test per promise, over all registries."""

import io
from typing import Any, get_args

import pytest
import torch
from torch import nn

from models.blinds import BlindParams
from models.exchange.batches import Candidates, InputDims, TextFeatures, VideoFeatures
from models.exchange.roles import Localizer, Retriever
from models.localizers import LocalizerParams
from models.retrievers import RetrieverParams

DIMS = InputDims(feature_dim=8, num_places=4, text_dim=8)


def list_members(registry: Any) -> list[Any]:
    """Return the schemas of a registry: a union, or the one member of a slot that has no second one yet."""
    union = get_args(registry)[0] if hasattr(registry, "__metadata__") else registry
    return list(get_args(union)) or [union]


def name_of(member: Any) -> str:
    return str(get_args(member.model_fields["name"].annotation)[0])


def build(member: Any) -> Any:
    torch.manual_seed(3)
    return member(name=name_of(member)).build(DIMS).eval()


LOCALIZERS = pytest.mark.parametrize("member", [*list_members(LocalizerParams), *list_members(BlindParams)], ids=name_of)
RETRIEVERS = pytest.mark.parametrize("member", list_members(RetrieverParams), ids=name_of)


def make_video(num_rows: int, num_cells: int) -> VideoFeatures:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(num_rows, num_cells, DIMS.num_places, DIMS.feature_dim, generator=generator)
    return VideoFeatures(features, torch.ones(num_rows, num_cells, dtype=torch.bool), torch.linspace(10.0, 40.0, num_rows))


def make_text(num_rows: int, *, num_words: int = 5) -> TextFeatures:
    tokens = torch.randn(num_rows, num_words, DIMS.text_dim, generator=torch.Generator().manual_seed(2))
    return TextFeatures(tokens, torch.ones(num_rows, num_words, dtype=torch.bool), tokens.sum(1))


def pad(text: TextFeatures, words: int) -> TextFeatures:
    tokens = nn.functional.pad(text.tokens, (0, 0, 0, words))
    return TextFeatures(tokens, nn.functional.pad(text.mask, (0, words)), text.pooled)


def take(video: VideoFeatures, text: TextFeatures, row: int) -> tuple[VideoFeatures, TextFeatures]:
    rows = slice(row, row + 1)
    return VideoFeatures(*(part[rows] for part in video)), TextFeatures(*(part[rows] for part in text))


@LOCALIZERS
def test_candidates_have_one_form(member: Any) -> None:
    model: Localizer = build(member)
    video, text = make_video(3, model.num_cells), make_text(3)
    found: Candidates = model(video, text)
    num_candidates = found.scores.shape[1]
    assert found.spans.shape == (3, num_candidates, 2)
    assert found.valid.shape == (3, num_candidates)
    assert found.valid.dtype == torch.bool
    assert found.valid.any(1).all()
    assert torch.isfinite(found.scores).all()
    spans = found.spans[found.valid]
    assert (spans[:, 0] >= 0).all()
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (found.spans[..., 1].amax(1) <= video.duration_s * (1 + 1e-5)).all()


@LOCALIZERS
def test_no_valid_candidate_ends_after_a_shorter_video(member: Any) -> None:
    model: Localizer = build(member)
    video = make_video(2, model.num_cells)
    mask = video.mask.clone()
    mask[1, model.num_cells // 2 :] = False
    found = model(video._replace(mask=mask), make_text(2))
    ends = torch.where(found.valid, found.spans[..., 1], 0.0).amax(1)
    torch.testing.assert_close(ends, video.duration_s)


@LOCALIZERS
def test_what_lies_outside_the_video_changes_no_valid_score(member: Any) -> None:
    model: Localizer = build(member)
    video, text = make_video(2, model.num_cells), make_text(2)
    mask = video.mask.clone()
    mask[:, -3:] = False
    quiet = model(video._replace(mask=mask), text)
    noisy = model(video._replace(mask=mask, features=video.features + 9.0 * (~mask)[..., None, None]), text)
    torch.testing.assert_close(noisy.scores[quiet.valid], quiet.scores[quiet.valid])


@LOCALIZERS
def test_a_row_scores_alike_alone_padded_and_in_a_batch(member: Any) -> None:
    model: Localizer = build(member)
    video, text = make_video(3, model.num_cells), make_text(3)
    together = model(video, pad(text, 4))
    for row in range(3):
        alone = model(*take(video, text, row))
        torch.testing.assert_close(together.scores[row : row + 1], alone.scores, atol=1e-5, rtol=1e-4)


@LOCALIZERS
def test_equal_seeds_build_equal_models(member: Any) -> None:
    first, second = build(member), build(member)
    video, text = make_video(2, first.num_cells), make_text(2)
    assert torch.equal(first(video, text).scores, second(video, text).scores)


@LOCALIZERS
def test_every_weight_of_a_localizer_learns(member: Any) -> None:
    model: Localizer = build(member).train()
    found = model(make_video(2, model.num_cells), make_text(2))
    total = found.scores.square().sum() + (found.saliency.square().sum() if found.saliency is not None else 0.0)
    total.backward()
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not torch.isfinite(weight.grad).all()]
    assert idle == []


@RETRIEVERS
def test_clips_and_queries_are_unit_vectors_of_one_space(member: Any) -> None:
    model: Retriever = build(member)
    clips = model.embed_clips(make_video(1, 6).features[0])
    queries = model.embed_queries(make_text(3))
    assert clips.shape == (6, model.embedding_dim)
    assert queries.shape == (3, model.embedding_dim)
    for vectors in (clips, queries):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(vectors)))


@RETRIEVERS
def test_a_clip_does_not_depend_on_its_neighbours_nor_a_query_on_padding(member: Any) -> None:
    model: Retriever = build(member)
    features, text = make_video(1, 6).features[0], make_text(3)
    torch.testing.assert_close(model.embed_clips(features)[2:3], model.embed_clips(features[2:3]))
    torch.testing.assert_close(model.embed_queries(pad(text, 3)), model.embed_queries(text))


@pytest.mark.parametrize(
    "member", [*list_members(LocalizerParams), *list_members(BlindParams), *list_members(RetrieverParams)], ids=name_of
)
def test_weights_survive_a_round_trip(member: Any) -> None:
    model, buffer = build(member), io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    other = member(name=name_of(member)).build(DIMS)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert all(torch.equal(left, right) for left, right in zip(model.parameters(), other.parameters(), strict=True))

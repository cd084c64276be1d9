"""Contract of every localizer, text-only floor and retriever: one test per rule, over all registries."""

import io
from typing import Any

import numpy as np
import pytest
import torch

from corpus.windows import WindowId, WindowRule, cut_video
from models.blinds import BlindParams
from models.contracts.batches import Candidates
from models.contracts.inputs import predict_candidates
from models.contracts.roles import Localizer, Retriever
from models.contracts.windows import WindowedVideos, predict_windows
from models.localizers import LocalizerParams
from models.retrievers import RetrieverParams
from registered import (
    DIMS,
    build,
    fill,
    list_distinct,
    list_idle,
    list_members,
    list_outputs,
    make_clips,
    make_text,
    make_video,
    name_of,
    pad,
    take,
)

MEMBERS = [*list_members(LocalizerParams), *list_members(BlindParams), *list_members(RetrieverParams)]
LOCALIZERS = pytest.mark.parametrize("member", [*list_distinct(LocalizerParams), *list_distinct(BlindParams)], ids=name_of)
RETRIEVERS = pytest.mark.parametrize("member", list_distinct(RetrieverParams), ids=name_of)


@LOCALIZERS
@pytest.mark.parametrize("num_rows", [1, 3])
def test_candidates_have_one_form(member: Any, num_rows: int) -> None:
    model: Localizer = build(member)
    video, text = make_video(num_rows, model.num_cells), make_text(num_rows)
    found: Candidates = model(video, text)
    num_candidates = found.scores.shape[1]
    assert found.spans.shape == (num_rows, num_candidates, 2)
    assert found.valid.shape == (num_rows, num_candidates)
    assert found.valid.dtype == torch.bool
    assert found.valid.any(1).all()
    assert torch.isfinite(found.scores).all()
    spans = found.spans[found.valid]
    assert (spans[:, 0] >= 0).all()
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (found.spans[..., 1].amax(1) <= video.duration_s * (1 + 1e-5)).all()


@LOCALIZERS
def test_embeddings_are_of_the_width_that_a_localizer_states(member: Any) -> None:
    model: Localizer = build(member)
    found = model(make_video(2, model.num_cells), make_text(2))
    num_candidates = found.scores.shape[1]
    assert (found.features is None) == (found.query is None) == (model.embedding_dim is None)
    if found.features is not None and found.query is not None:
        assert found.features.shape == (2, num_candidates, model.embedding_dim)
        assert found.query.shape == (2, model.embedding_dim)
    if found.saliency is not None:
        assert found.saliency.shape == (2, model.num_cells)


@LOCALIZERS
def test_no_valid_candidate_ends_after_a_shorter_video(member: Any) -> None:
    model: Localizer = build(member)
    video = make_video(2, model.num_cells)
    mask = video.mask.clone()
    mask[1, model.num_cells // 2 :] = False
    found = model(video._replace(mask=mask), make_text(2))
    ends = torch.where(found.valid, found.spans[..., 1], 0.0).amax(1)
    assert (ends <= video.duration_s * (1 + 1e-5)).all()


@LOCALIZERS
def test_cells_outside_the_video_change_no_valid_score(member: Any) -> None:
    model: Localizer = build(member)
    video, text = make_video(2, model.num_cells), make_text(2)
    mask = video.mask.clone()
    mask[:, -3:] = False
    quiet = model(video._replace(mask=mask), text)
    noise = 9.0 * (~mask)[..., None, None]
    noisy = model(video._replace(mask=mask, streams={"video": video.streams["video"] + noise}), text)
    torch.testing.assert_close(noisy.scores[quiet.valid], quiet.scores[quiet.valid])
    torch.testing.assert_close(noisy.spans[quiet.valid], quiet.spans[quiet.valid])


@LOCALIZERS
def test_a_row_scores_alike_alone_padded_and_in_a_batch(member: Any) -> None:
    model: Localizer = build(member)
    video, text = make_video(3, model.num_cells), make_text(3)
    together = model(video, pad(text, 4))
    for row in range(3):
        alone = model(*take(video, text, row))
        torch.testing.assert_close(together.scores[row : row + 1], alone.scores, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.spans[row : row + 1], alone.spans, atol=1e-4, rtol=1e-4)


@LOCALIZERS
def test_equal_seeds_build_equal_models(member: Any) -> None:
    first, second = build(member), build(member)
    video, text = make_video(2, first.num_cells), make_text(2)
    assert torch.equal(first(video, text).scores, second(video, text).scores)


@LOCALIZERS
def test_every_weight_of_a_localizer_learns(member: Any) -> None:
    model: Localizer = build(member).train()
    assert list_idle(model, list_outputs(model(make_video(2, model.num_cells), make_text(2)))) == []


@pytest.mark.needs_precision("bf16-mixed")
@LOCALIZERS
def test_a_localizer_learns_in_mixed_precision(member: Any) -> None:
    model: Localizer = build(member).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(make_video(2, model.num_cells), make_text(2))
    assert all(torch.isfinite(one).all() for one in list_outputs(found))
    assert list_idle(model, list_outputs(found)) == []


@LOCALIZERS
def test_equal_windows_of_a_long_video_give_the_answers_of_a_single_window(member: Any) -> None:
    model: Localizer = build(member)
    num_clips, rate_hz, text = model.num_cells, 2.0, make_text(2)
    clips = make_video(1, num_clips).streams["video"][0].numpy().astype(np.float16)
    window_s = num_clips / rate_hz
    alone = predict_candidates(
        model, cells={"a": {"video": clips}}, durations_s={"a": window_s}, video_ids=["a", "a"], text=text, batch_size=2
    )
    windows = cut_video(3 * num_clips, 3 * window_s, WindowRule(window_s, overlap=0.0), clip_rate_hz=rate_hz)
    assert len(windows) == 3
    videos = WindowedVideos({"a": windows}, {WindowId("a", number): {"video": clips} for number in range(3)})
    for name in videos.list_ids("a"):
        part = predict_windows(model, videos, [name, name], text)
        np.testing.assert_allclose(part.spans, alone.spans + name.number * window_s, atol=1e-4)
        np.testing.assert_array_equal(part.scores, alone.scores)
        np.testing.assert_array_equal(part.valid, alone.valid)


@RETRIEVERS
@pytest.mark.parametrize("num_rows", [1, 3])
def test_clips_and_queries_are_unit_vectors_of_one_space(member: Any, num_rows: int) -> None:
    model: Retriever = build(member)
    clips = model.embed_clips(make_clips(2 * num_rows))
    queries = model.embed_queries(make_text(num_rows))
    assert clips.shape == (2 * num_rows, model.embedding_dim)
    assert queries.shape == (num_rows, model.embedding_dim)
    for vectors in (clips, queries):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(vectors)))


@RETRIEVERS
def test_a_clip_does_not_depend_on_its_neighbours_nor_a_query_on_padding(member: Any) -> None:
    model: Retriever = build(member)
    clips, text = make_clips(6), make_text(3)
    third = {name: features[2:3] for name, features in clips.items()}
    torch.testing.assert_close(model.embed_clips(clips)[2:3], model.embed_clips(third))
    torch.testing.assert_close(model.embed_queries(pad(text, 3)), model.embed_queries(text))


@RETRIEVERS
def test_equal_seeds_build_equal_retrievers(member: Any) -> None:
    first, second = build(member), build(member)
    clips, text = make_clips(4), make_text(2)
    assert torch.equal(first.embed_clips(clips), second.embed_clips(clips))
    assert torch.equal(first.embed_queries(text), second.embed_queries(text))


@RETRIEVERS
@pytest.mark.parametrize("mixed", [False, pytest.param(True, marks=pytest.mark.needs_precision("bf16-mixed"))])
def test_every_weight_of_a_retriever_learns(member: Any, mixed: bool) -> None:
    model: Retriever = build(member).train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        clips, queries = model.embed_clips(make_clips(6)), model.embed_queries(make_text(6))
    assert list_idle(model, [(clips.float() * queries.float()).sum(-1)]) == []


@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_weights_survive_a_round_trip(member: Any) -> None:
    model, buffer = build(member), io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    other = fill(member).build(DIMS)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert all(torch.equal(left, right) for left, right in zip(model.parameters(), other.parameters(), strict=True))

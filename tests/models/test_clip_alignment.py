"""MCN, CAL, its Chamfer form and its retriever: distances between clips and sentences."""

import pytest
import torch
from streams import as_video, video_dims
from torch import Tensor

from corpus.moments import build_dense_cells
from models.contracts.batches import TextFeatures, VideoFeatures
from models.layers.set_distances import WindowChamfer, compute_squared_distances
from models.layers.window_grid import WindowGrid, list_windows
from models.localizers.cal import CAL, CALParams
from models.localizers.cal_chamfer import CALChamferParams
from models.localizers.mcn_moment import MCNMomentParams, MomentContextNetwork, compute_ends
from models.retrievers.cal import CALParams as CALRetrieverParams

DIMS = video_dims(dim=6, num_places=3, text_dim=5)


def make_text(lengths: list[int]) -> TextFeatures:
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    tokens = torch.randn(*mask.shape, 5, generator=torch.Generator().manual_seed(2)) * mask[..., None]
    return TextFeatures(tokens, mask, tokens.sum(1))


def make_video(num_inside: list[int], *, num_places: int = 3) -> VideoFeatures:
    features = torch.randn(len(num_inside), 8, num_places, 6, generator=torch.Generator().manual_seed(1))
    return as_video(features, torch.arange(8)[None] < torch.tensor(num_inside)[:, None], torch.tensor([8.0, 20.0]))


def draw_set(num_vectors: int, seed: int) -> Tensor:
    return torch.randn(1, num_vectors, 4, generator=torch.Generator().manual_seed(seed))


def measure_chamfer(clips: Tensor, words: Tensor, *, num_clips: int | None = None, num_words: int | None = None) -> Tensor:
    """Return the Chamfer distance between the window of all valid clips and the valid words."""
    num_clips, num_words = num_clips or clips.shape[1], num_words or words.shape[1]
    mask = torch.arange(clips.shape[1])[None] < num_clips
    word_mask = torch.arange(words.shape[1])[None] < num_words
    found = WindowChamfer(WindowGrid(clips.shape[1]))(compute_squared_distances(clips, words), mask, word_mask)
    cells = build_dense_cells(clips.shape[1])
    return found[0, int(((cells[:, 0] == 0) & (cells[:, 1] == num_clips - 1)).argmax())]


def loop_chamfer(clips: Tensor, words: Tensor) -> float:
    of_clips = [min(float((clip - word).square().sum()) for word in words) for clip in clips]
    of_words = [min(float((clip - word).square().sum()) for clip in clips) for word in words]
    return sum(of_clips) / len(clips) + sum(of_words) / len(words)


def test_chamfer_of_one_clip_and_one_word_is_twice_their_squared_distance() -> None:
    clip, word = draw_set(1, 0), draw_set(1, 1)
    torch.testing.assert_close(measure_chamfer(clip, word), 2 * (clip - word).square().sum())


def test_chamfer_equals_a_slow_loop_and_is_symmetric() -> None:
    clips, words = draw_set(5, 0), draw_set(3, 1)
    assert measure_chamfer(clips, words).item() == pytest.approx(loop_chamfer(clips[0], words[0]), rel=1e-5)
    torch.testing.assert_close(measure_chamfer(clips, words), measure_chamfer(words, clips))


def test_chamfer_of_identical_sets_is_zero_with_finite_gradients() -> None:
    clips = draw_set(4, 0).requires_grad_()
    distance = measure_chamfer(clips, clips[:, [2, 0, 3, 1]])
    distance.backward()
    assert distance.item() == pytest.approx(0, abs=1e-5)
    assert clips.grad is not None
    assert clips.grad.isfinite().all()


def test_padding_of_clips_and_words_does_not_change_the_chamfer_distance() -> None:
    clips, words = draw_set(5, 0), draw_set(4, 1)
    near = torch.cat([words[:, :3], clips[:, :1]], dim=1)  # the padding word equals a clip
    masked = measure_chamfer(clips, near, num_clips=4, num_words=3)
    torch.testing.assert_close(masked, measure_chamfer(clips[:, :4], words[:, :3]))


def test_a_sentence_without_words_has_finite_chamfer_distances() -> None:
    chamfer = WindowChamfer(WindowGrid(4))
    found = chamfer(compute_squared_distances(draw_set(4, 0), draw_set(2, 1)), torch.ones(1, 4).bool(), torch.zeros(1, 2).bool())
    assert found.isfinite().all()


def test_squared_distances_are_never_negative() -> None:
    near = 100 + 1e-4 * draw_set(50, 0)
    distances = compute_squared_distances(near, near)
    assert (distances >= 0).all()
    torch.testing.assert_close(
        compute_squared_distances(draw_set(5, 0), draw_set(3, 1)), torch.cdist(draw_set(5, 0), draw_set(3, 1)) ** 2
    )


def build_cal(**values: object) -> CAL:
    torch.manual_seed(0)
    return (
        CALParams.model_validate({"name": "cal", "num_cells": 8, "hidden_dim": 8, "embedding_dim": 4, **values})
        .build(DIMS)
        .eval()
    )


@pytest.mark.parametrize("unit_vectors", [False, True])
def test_the_cost_of_a_moment_is_the_mean_squared_distance_of_its_clips(unit_vectors: bool) -> None:
    model, video, text = build_cal(unit_vectors=unit_vectors), make_video([8, 8]), make_text([4, 2])
    clips, sentence = model.clips(video.streams["video"]), model.sentence(text)
    if unit_vectors:
        clips, sentence = clips / clips.norm(dim=-1, keepdim=True), sentence / sentence.norm(dim=-1, keepdim=True)
    found = model(video, text)
    for column, (first, last) in enumerate(build_dense_cells(8).tolist()):
        expected = (clips[:, first : last + 1] - sentence[:, None]).square().sum(-1).mean(1)
        torch.testing.assert_close(-found.scores[:, column], expected)


def test_cal_of_one_clip_is_the_distance_of_mcn() -> None:
    """MCN over one clip, without its video context and position, is the network of CAL."""
    cal = build_cal()
    torch.manual_seed(0)
    mcn = MCNMomentParams(name="mcn_moment", num_cells=8, hidden_dim=8, embedding_dim=4).build(DIMS).eval().requires_grad_(False)
    mcn.moment_linear.load_state_dict(cal.clips.first.state_dict())
    mcn.second.load_state_dict(cal.clips.second.state_dict())
    mcn.sentence.load_state_dict(cal.sentence.state_dict())
    torch.nn.init.zeros_(mcn.video_linear.weight)
    torch.nn.init.zeros_(mcn.ends_linear.weight)
    video, text = make_video([8, 8]), make_text([4, 2])
    single = torch.from_numpy((cells := build_dense_cells(8))[:, 0] == cells[:, 1])
    torch.testing.assert_close(mcn(video, text).scores[:, single], cal(video, text).scores[:, single])


def test_the_first_layer_of_mcn_is_one_linear_layer_over_moment_video_and_ends() -> None:
    torch.manual_seed(0)
    dims = video_dims(dim=6, num_places=1, text_dim=5)
    mcn: MomentContextNetwork = (
        MCNMomentParams(name="mcn_moment", num_cells=8, hidden_dim=8, embedding_dim=4).build(dims).eval().requires_grad_(False)
    )
    video, text = make_video([8, 6], num_places=1), make_text([4, 2])
    found = mcn(video, text)
    weight = torch.cat([mcn.moment_linear.weight, mcn.video_linear.weight, mcn.ends_linear.weight], dim=1)
    for column, (first, last) in enumerate(build_dense_cells(8).tolist()):
        for row, num_inside in enumerate((8, 6)):
            if last >= num_inside:
                continue
            clips = video.streams["video"][row, :num_inside, 0]
            ends = torch.tensor([first / num_inside, (last + 1) / num_inside])
            vector = torch.cat([clips[first : last + 1].mean(0), clips.mean(0), ends])
            moment = mcn.second(torch.relu(weight @ vector + mcn.moment_linear.bias))
            assert found.features is not None
            assert found.query is not None
            torch.testing.assert_close(found.features[row, column], moment, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(
                found.scores[row, column], -(moment - found.query[row]).square().sum(), atol=1e-5, rtol=1e-4
            )


def test_the_ends_of_the_whole_video_are_zero_and_one() -> None:
    assert compute_ends(torch.tensor([[[0.0, 12.0], [3.0, 6.0]]]), torch.tensor([12.0])).tolist() == [[[0, 1], [0.25, 0.5]]]


def test_chamfer_scores_are_those_of_the_loop_over_clips_and_words() -> None:
    torch.manual_seed(0)
    model = (
        CALChamferParams(name="cal_chamfer", num_cells=8, window_lengths=(3, 5), hidden_dim=8, embedding_dim=4)
        .build(DIMS)
        .eval()
        .requires_grad_(False)
    )
    video, text = make_video([8, 6]), make_text([4, 2])
    clips, words = model.clips(video.streams["video"]).detach(), model.sentence.embed_words(text).detach()
    found = model(video, text)
    for row, num_words in enumerate((4, 2)):
        for column, (first, last) in enumerate(list_windows(8, (3, 5)).tolist()):
            if found.valid[row, column]:
                expected = loop_chamfer(clips[row, first : last + 1], words[row, :num_words])
                assert -found.scores[row, column].item() == pytest.approx(expected, rel=1e-4)


def test_windows_have_the_published_strides() -> None:
    starts = {
        length: [first for first, last in list_windows(32, (2, 5, 8)) if last - first + 1 == length] for length in (2, 5, 8)
    }
    assert starts[2][:3] == [0, 1, 2]
    assert starts[5][:3] == [0, 2, 4]  # round(0.3 * 5) = 2
    assert starts[8][:3] == [0, 2, 4]
    assert starts[8][-1] == 24
    assert list_windows(8, ()).tolist() == build_dense_cells(8).tolist()


def test_a_video_shorter_than_every_window_has_itself_as_its_only_candidate() -> None:
    found = build_cal(window_lengths=(4, 6))(make_video([3, 8]), make_text([4, 2]))
    assert found.spans[0][found.valid[0]].tolist() == [[0.0, 8.0]]
    assert found.valid[1].all()


def test_windows_longer_than_the_axis_are_refused() -> None:
    with pytest.raises(ValueError, match=r"windows have different lengths of at most 8 cells, got \(4, 12\)"):
        build_cal(window_lengths=(4, 12))


def test_the_retrievers_index_entries_sum_to_the_cost_of_a_moment() -> None:
    torch.manual_seed(0)
    model = (
        CALRetrieverParams(name="cal", embedding_dim=4, hidden_dim=8, text_hidden_dim=8).build(DIMS).eval().requires_grad_(False)
    )
    entries, query = model.embed_clips({"video": make_video([8, 8]).streams["video"][0]}), model.embed_queries(make_text([4]))[0]
    direct = (entries[2:6] - query).square().sum(-1).mean()
    found = sum(2 - 2 * float(entries[clip] @ query) for clip in range(2, 6)) / 4
    assert found == pytest.approx(direct.item(), rel=1e-5)
    nearest = (entries - query).square().sum(-1).argsort()
    assert torch.equal((entries @ query).argsort(descending=True), nearest)


def test_the_retriever_and_cal_with_unit_vectors_are_one_model() -> None:
    retriever = CALRetrieverParams(name="cal", embedding_dim=4, hidden_dim=8).build(DIMS).eval().requires_grad_(False)
    cal = build_cal(unit_vectors=True)
    retriever.load_state_dict(cal.state_dict())
    video, text = make_video([8, 8]), make_text([4, 2])
    entries = retriever.embed_clips({"video": video.streams["video"][0]})  # (8, E)
    costs = 2 - 2 * entries @ retriever.embed_queries(text)[0]
    expected = [costs[first : last + 1].mean() for first, last in build_dense_cells(8).tolist()]
    torch.testing.assert_close(-cal(video, text).scores[0], torch.stack(expected))

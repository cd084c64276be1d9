"""Batches of queries by index, and inputs shared by all stages."""

from pathlib import Path

import numpy as np
import pytest
import torch
from streams import video_dims, write_store

from corpus.moments import Moment, find_clips
from corpus.records import Corpus, Query, Video
from corpus.store import FeatureStore, Fingerprint
from models.contracts.batches import TextFeatures
from models.contracts.inputs import load_clips, predict_candidates, select_text
from models.localizers.tan2d import Tan2DParams
from models.training import cell_table
from models.training.data import LocalizerData, RetrieverData, shuffle_batches
from models.training.schema import derive_seed

DURATIONS_S = {"a": 10.0, "b": 6.0}


def make_query(qid: str, video_id: str, text: str, *spans: tuple[float, float]) -> Query:
    return Query(qid, video_id, text, tuple(Moment(*span) for span in spans), "train")


@pytest.fixture
def corpus() -> Corpus:
    videos = tuple(
        Video(video_id=name, path=f"{name}.mp4", split="train", duration_s=duration_s, sha256="")
        for name, duration_s in DURATIONS_S.items()
    )
    queries = (
        make_query("1", "b", "it spins", (1.0, 3.0), (4.0, 5.0)),
        make_query("2", "a", "it blinks", (0.0, 10.0)),
        make_query("3", "a", "it spins", (2.2, 2.4)),
    )
    return Corpus(videos, queries)


@pytest.fixture
def text() -> TextFeatures:
    mask = torch.tensor([[True, True, False], [True, True, True], [True, False, False]])
    tokens = torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(0)) * mask[..., None]
    return TextFeatures(tokens, mask, tokens.sum(1))


def make_cells(num_cells: int = 4) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=(num_cells, 2, 5)).astype(np.float16) for name in DURATIONS_S}


def test_a_localizer_batch_holds_each_query_with_its_video_and_its_moments(corpus: Corpus, text: TextFeatures) -> None:
    cells = make_cells()
    batch = LocalizerData.from_corpus(corpus, text, {"video": cells.values()}, 4).batch(torch.tensor([2, 0]))
    np.testing.assert_array_equal(batch.video.streams["video"].numpy(), np.stack([cells["a"], cells["b"]]).astype(np.float32))
    assert batch.video.duration_s.tolist() == [10.0, 6.0]
    assert batch.targets.mask.tolist() == [[True, False], [True, True]]
    assert batch.targets.spans[1].tolist() == [[1.0, 3.0], [4.0, 5.0]]
    assert batch.targets.text_index[0] == batch.targets.text_index[1]
    assert batch.text.tokens.shape[1] == 2


def test_a_localizer_batch_holds_exactly_the_streams_that_are_read(corpus: Corpus, text: TextFeatures) -> None:
    video, sound = make_cells(), {name: cells[:, :1, :3] + 1 for name, cells in make_cells().items()}
    rows = torch.tensor([2, 0])
    data = LocalizerData.from_corpus(corpus, text, {"video": video.values(), "sound": sound.values()}, 4)
    for _ in range(2):  # the memory of the previous batch is reused
        streams = data.batch(rows).video.streams
        for name, cells in (("video", video), ("sound", sound)):
            np.testing.assert_array_equal(streams[name].numpy(), np.stack([cells["a"], cells["b"]]).astype(np.float32))
    blind = LocalizerData.from_corpus(corpus, text, {}, 7).batch(rows).video
    assert (blind.streams, blind.mask.shape, blind.mask.all()) == ({}, (2, 7), True)


def test_streams_of_other_rates_are_loaded_on_the_clips_of_the_first(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    clips = {"video": generator.normal(size=(20, 2, 5)), "sound": generator.normal(size=(80, 1, 3))}
    halves = {name: {"a": array.astype(np.float16)} for name, array in clips.items()}
    write_store(tmp_path, halves, fingerprint=Fingerprint({}, {}), clip_rates_hz={"video": 2.0, "sound": 8.0})
    found = load_clips(FeatureStore(tmp_path), ("video", "sound"), "a", duration_s=10.0)
    np.testing.assert_array_equal(found["video"], halves["video"]["a"])
    means = halves["sound"]["a"].astype(np.float64).reshape(20, 4, 1, 3).mean(1)
    np.testing.assert_allclose(found["sound"], means, atol=1e-3)
    assert {features.dtype for features in found.values()} == {np.dtype(np.float16)}


@pytest.mark.parametrize("memory_bytes", [2**30, 0])
def test_a_table_of_cells_is_the_same_in_memory_and_in_a_file(monkeypatch: pytest.MonkeyPatch, memory_bytes: int) -> None:
    monkeypatch.setattr(cell_table, "MEMORY_BYTES", memory_bytes)
    cells = list(make_cells().values())
    table = cell_table.build_table(iter(cells), 2)
    rows = torch.tensor([1, 0, 1])
    np.testing.assert_array_equal(
        cell_table.BatchMemory().gather(table, rows).numpy(), np.stack(cells)[rows.numpy()].astype(np.float32)
    )


def test_memory_of_a_batch_is_taken_again_only_when_nothing_holds_it() -> None:
    table, memory = torch.arange(12).reshape(4, 3, 1, 1).half(), cell_table.BatchMemory()
    first = memory.gather(table, torch.tensor([0, 1]))
    address, view = first.data_ptr(), first[1]
    second = memory.gather(table, torch.tensor([2, 3]))
    del first
    third = memory.gather(table, torch.tensor([3, 3]))
    assert len({address, second.data_ptr(), third.data_ptr()}) == 3
    assert view.flatten().tolist() == [3.0, 4.0, 5.0]
    del view
    held = (memory.gather(table, torch.tensor([1])) * torch.ones(1, requires_grad=True)).sum()  # autograd holds it
    fourth = memory.gather(table, torch.tensor([0, 0]))
    assert address != fourth.data_ptr()
    del held
    assert memory.gather(table, torch.tensor([1])).data_ptr() == address


@pytest.mark.parametrize("num_videos", [1, 3])
def test_a_table_of_more_or_fewer_videos_is_refused(num_videos: int) -> None:
    with pytest.raises(ValueError, match=f"expected the cells of {num_videos} videos, got 2"):
        cell_table.build_table(make_cells().values(), num_videos)
    with pytest.raises(ValueError, match="needs at least one video"):
        cell_table.build_table([], num_videos)


def test_a_retriever_has_one_row_for_each_moment_of_a_query(corpus: Corpus, text: TextFeatures) -> None:
    features = [{"video": np.zeros((count, 2, 5), np.float16)} for count in (20, 12)]
    data = RetrieverData.from_corpus(corpus, text, features, clip_rate_hz=2.0)
    assert data.row_query.tolist() == [0, 0, 1, 2]
    assert data.row_clips.tolist() == [[22, 25], [28, 29], [0, 19], [4, 4]]


def test_a_retriever_batch_averages_exactly_the_clips_of_each_moment(corpus: Corpus, text: TextFeatures) -> None:
    generator = np.random.default_rng(1)
    features = [generator.normal(size=(count, 2, 5)).astype(np.float16) for count in (20, 12)]
    data = RetrieverData.from_corpus(corpus, text, [{"video": clips} for clips in features], clip_rate_hz=2.0)
    batch = data.batch(torch.tensor([1, 3, 2]))
    means = torch.einsum("bs,spd->bpd", batch.shares, batch.clips["video"])
    expected = [features[1][8:10], features[0][4:5], features[0]]
    for found, clips in zip(means, expected, strict=True):
        np.testing.assert_allclose(found.numpy(), clips.astype(np.float32).mean(0), atol=1e-5)


def test_clips_of_spans_in_videos_of_different_length_agree_with_one_video_at_a_time() -> None:
    spans, counts = np.array([[0.0, 2.0], [1.0, 99.0], [3.9, 4.0]]), np.array([3, 5, 4])
    together = find_clips(spans, num_clips=counts, clip_rate_hz=1.0)
    alone = [find_clips(spans[row : row + 1], num_clips=int(counts[row]), clip_rate_hz=1.0)[0] for row in range(3)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("videos_per_batch", [None, 2])
def test_an_epoch_holds_every_row_once_in_an_order_of_its_seed(videos_per_batch: int | None) -> None:
    video_index = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 4])

    def draw(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        batches = shuffle_batches(video_index, batch_size=4, videos_per_batch=videos_per_batch, generator=generator)
        return [batch.tolist() for batch in batches]

    assert sorted(row for batch in draw(0) for row in batch) == list(range(9))
    assert max(map(len, draw(0))) <= 4
    assert draw(0) == draw(0) != draw(1)


def test_a_batch_of_few_videos_holds_rows_of_no_others() -> None:
    video_index = torch.arange(6).repeat_interleave(5)
    generator = torch.Generator().manual_seed(0)
    for batch in shuffle_batches(video_index, batch_size=8, videos_per_batch=2, generator=generator):
        assert len(video_index[batch].unique()) <= 2


def test_predictions_do_not_depend_on_the_size_of_batches(text: TextFeatures) -> None:
    torch.manual_seed(0)
    dims = video_dims(dim=5, num_places=2, text_dim=4)
    localizer = Tan2DParams(name="tan2d", num_cells=4, hidden_dim=4, num_layers=1, kernel_size=3).build(dims).eval()
    cells = {video_id: {"video": features} for video_id, features in make_cells().items()}
    found = [
        predict_candidates(
            localizer, cells=cells, durations_s=DURATIONS_S, video_ids=["b", "a", "a"], text=text, batch_size=batch_size
        )
        for batch_size in (1, 3)
    ]
    assert found[0].spans.shape == (3, 10, 2)
    np.testing.assert_allclose(found[0].scores, found[1].scores, atol=1e-6)
    np.testing.assert_array_equal(found[0].spans, found[1].spans)


def test_selected_sentences_are_cut_to_the_longest_of_them(text: TextFeatures) -> None:
    chosen = select_text(text, torch.tensor([2, 0]))
    assert chosen.tokens.shape == (2, 2, 4)
    assert chosen.mask.tolist() == [[True, False], [True, True]]


def test_seeds_differ_by_every_part() -> None:
    seeds = {derive_seed(0, "order", 1), derive_seed(0, "order", 2), derive_seed(0, "epoch", 1), derive_seed(1, "order", 1)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)

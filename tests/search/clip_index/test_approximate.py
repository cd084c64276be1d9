"""The approximate index finds nearly all hits of the exact one, with exact scores; equal clips give equal bytes."""

from pathlib import Path

import numpy as np
import pytest

from clip_vectors import FINGERPRINT, draw_unit_vectors
from search.clip_index import FaissClipIndex, Vectors
from search.clip_index.searchers import FlatSearcher, IvfSearcher, choose_num_lists

CLIPS = draw_unit_vectors(10_000, dim=16)
QUERIES = draw_unit_vectors(20, dim=16, seed=1)
VIDEOS: dict[str, Vectors] = {f"v{number:03d}": part for number, part in enumerate(np.split(CLIPS, 200))}


def build(*, flat_rows: int, videos: dict[str, Vectors] = VIDEOS) -> FaissClipIndex:
    return FaissClipIndex.build(videos, clip_rate_hz=2.0, fingerprint=FINGERPRINT, flat_rows=flat_rows)


@pytest.fixture(scope="module")
def exact() -> FaissClipIndex:
    return build(flat_rows=10_000)


@pytest.fixture(scope="module")
def approximate() -> FaissClipIndex:
    return build(flat_rows=9_999)


def test_the_size_of_a_collection_chooses_the_index(exact: FaissClipIndex, approximate: FaissClipIndex) -> None:
    assert isinstance(exact._base.searcher, FlatSearcher)
    assert isinstance(approximate._base.searcher, IvfSearcher)


def test_nine_of_ten_nearest_clips_are_found_in_a_quarter_of_the_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.clip_index.searchers._PROBED_LISTS", 31)
    searcher = IvfSearcher.build(CLIPS)
    found = [searcher.search(query, 10, None).rows for query in QUERIES]
    best = [np.argsort(-(CLIPS @ query))[:10] for query in QUERIES]
    assert np.mean([len(np.intersect1d(*pair)) / 10 for pair in zip(found, best, strict=True)]) >= 0.9


def test_nearly_all_windows_are_found(exact: FaissClipIndex, approximate: FaissClipIndex) -> None:
    shares = []
    for query in QUERIES:
        expected = {window for window, _ in exact.search_windows(query, 20)}
        shares.append(len(expected & {window for window, _ in approximate.search_windows(query, 20)}) / 20)
    assert np.mean(shares) >= 0.98


def test_the_scores_are_exact(exact: FaissClipIndex, approximate: FaissClipIndex) -> None:
    expected = dict(exact.search_windows(QUERIES[0], 200))
    for window, score in approximate.search_windows(QUERIES[0], 20):
        assert score == pytest.approx(expected[window], abs=1e-6)


def test_asking_for_every_window_gives_every_window(exact: FaissClipIndex, approximate: FaissClipIndex) -> None:
    found, expected = (index.search_windows(QUERIES[0], 200) for index in (approximate, exact))
    assert [window for window, _ in found] == [window for window, _ in expected]


def test_few_videos_are_searched_exactly(exact: FaissClipIndex, approximate: FaissClipIndex) -> None:
    names = [f"v{number:03d}" for number in range(0, 200, 9)]
    found, expected = (index.search_windows(QUERIES[0], 9, video_ids=names) for index in (approximate, exact))
    assert [window for window, _ in found] == [window for window, _ in expected]


@pytest.mark.parametrize("flat_rows", [10_000, 5_000])
def test_added_videos_are_found_and_removed_videos_are_not(flat_rows: int) -> None:
    index = build(flat_rows=flat_rows)
    near = QUERIES[0][None]
    (best, _), (second, _) = index.search_windows(QUERIES[0], 2)
    index = index.add("near", near, clip_rate_hz=2.0, windows=[]).remove(best.video_id)
    assert [window.video_id for window, _ in index.search_windows(QUERIES[0], 2)] == ["near", second.video_id]
    assert best.video_id not in index
    assert index.num_clips == 9_951
    with pytest.raises(KeyError, match=f"'{best.video_id}' is not in the index"):
        index.get_vectors(best.video_id)
    index = index.remove("near").add(best.video_id, VIDEOS[best.video_id], clip_rate_hz=2.0, windows=[])
    assert [window.video_id for window, _ in index.search_windows(QUERIES[0], 2)] == [best.video_id, second.video_id]


def test_a_changed_exact_index_answers_like_a_rebuilt_one() -> None:
    index = build(flat_rows=10_000)
    for name in ("v003", "v100"):
        index = index.remove(name)
    index = index.add("new", VIDEOS["v003"], clip_rate_hz=2.0, windows=[]).add("w", VIDEOS["v100"], clip_rate_hz=2.0, windows=[])
    index = index.remove("w")
    kept = {name: clips for name, clips in VIDEOS.items() if name not in ("v003", "v100")} | {"new": VIDEOS["v003"]}
    anew = build(flat_rows=10_000, videos=kept)
    names = ["new", "v004", "v199"]
    for query in QUERIES:
        assert index.search_windows(query, 30) == anew.search_windows(query, 30)
        assert index.search_windows(query, 2, video_ids=names) == anew.search_windows(query, 2, video_ids=names)
        np.testing.assert_array_equal(index.clip_scores(query, names)["new"], anew.clip_scores(query, names)["new"])


def test_a_saved_index_answers_as_before_and_saves_to_the_same_bytes(approximate: FaissClipIndex, tmp_path: Path) -> None:
    approximate.save(tmp_path / "a")
    loaded = FaissClipIndex.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    assert loaded.search_windows(QUERIES[0], 20) == approximate.search_windows(QUERIES[0], 20)
    assert sorted(file.name for file in (tmp_path / "b").iterdir()) == ["clips.faiss", "clips.json", "clips.safetensors"]
    assert all((tmp_path / "a" / file.name).read_bytes() == file.read_bytes() for file in (tmp_path / "b").iterdir())


def test_equal_clips_give_equal_bytes(approximate: FaissClipIndex, tmp_path: Path) -> None:
    approximate.save(tmp_path / "a")
    build(flat_rows=9_999).save(tmp_path / "b")
    assert (tmp_path / "a" / "clips.faiss").read_bytes() == (tmp_path / "b" / "clips.faiss").read_bytes()


def test_damaged_lists_are_refused(approximate: FaissClipIndex, tmp_path: Path) -> None:
    approximate.save(tmp_path)
    content = bytearray((tmp_path / "clips.faiss").read_bytes())
    content[-1] ^= 1
    (tmp_path / "clips.faiss").write_bytes(content)
    with pytest.raises(ValueError, match="clips.faiss is damaged: sha256 .* expected .*; run: dvc repro --force index"):
        FaissClipIndex.load(tmp_path)


def test_a_changed_index_is_not_saved(exact: FaissClipIndex, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot save an index with added or removed videos"):
        exact.remove("v003").save(tmp_path)


def test_the_number_of_lists_is_about_that_of_clips_in_each() -> None:
    assert [choose_num_lists(number) for number in (10_000, 1_000_000, 10_000_000)] == [128, 1024, 4096]

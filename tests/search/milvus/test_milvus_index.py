"""The clip index in Milvus answers like the in-process one, and keeps acknowledged videos even after a kill."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clip_vectors import BUNDLE, FINGERPRINT, build_index, cut_in_two, draw_unit_vectors, draw_videos
from search.clip_index import ClipIndex
from search.milvus.address import MilvusAddress
from search.milvus.index import MilvusClipIndex
from search.milvus.table import MilvusTable, StoredVideo, compute_key, store_video
from serving.startup.locations import find_milvus

pytestmark = pytest.mark.slow

OpenIndex = Callable[..., MilvusClipIndex]
NewPlace = Callable[[], MilvusAddress]
VIDEOS = draw_videos(num_videos=15)
QUERIES = draw_unit_vectors(6, seed=7)


def require_same_answers(found: ClipIndex, expected: ClipIndex, **limits: object) -> None:
    for query in QUERIES:
        ours, theirs = (index.search_windows(query, 7, **limits) for index in (found, expected))  # type: ignore[arg-type]
        assert [window for window, _ in ours] == [window for window, _ in theirs]
        np.testing.assert_allclose([score for _, score in ours], [score for _, score in theirs], atol=1e-5)
        scores = found.clip_scores(query, ["v03", "v11"])
        for video_id, row in expected.clip_scores(query, ["v03", "v11"]).items():
            np.testing.assert_allclose(scores[video_id], row, atol=1e-5)


@pytest.fixture(scope="module")
def filled(new_place: NewPlace, open_index: OpenIndex) -> MilvusClipIndex:
    return open_index(new_place(), build_index(VIDEOS))


def test_both_indexes_give_the_same_windows_and_scores(filled: MilvusClipIndex) -> None:
    require_same_answers(filled, build_index(VIDEOS))


def test_both_indexes_give_the_same_within_some_videos(filled: MilvusClipIndex) -> None:
    require_same_answers(filled, build_index(VIDEOS), video_ids=["v03", "v11", "v12", "v14"])


def test_a_search_in_no_video_finds_nothing(filled: MilvusClipIndex) -> None:
    assert filled.search_windows(QUERIES[0], 3, video_ids=[]) == []


def test_stored_vectors_are_unchanged(filled: MilvusClipIndex) -> None:
    np.testing.assert_array_equal(filled.get_vectors("v11"), VIDEOS["v11"])


def test_an_unknown_video_is_named(filled: MilvusClipIndex) -> None:
    with pytest.raises(KeyError, match="'nowhere' is not in the index"):
        filled.clip_scores(QUERIES[0], ["nowhere"])


def test_both_indexes_give_the_same_after_additions_and_removals(new_place: NewPlace, open_index: OpenIndex) -> None:
    here: ClipIndex = build_index(VIDEOS)
    there: ClipIndex = open_index(new_place(), here)
    for video_id, clips in draw_videos(num_videos=3, seed=5).items():
        windows = cut_in_two(len(clips)) if len(clips) > 3 else []
        here, there = (index.add(f"new {video_id}", clips, clip_rate_hz=2.0, windows=windows) for index in (here, there))
    for video_id in ("v04", "new v01"):
        here, there = (index.remove(video_id) for index in (here, there))
    require_same_answers(there, here)
    here, there = (index.add("v04", VIDEOS["v05"], clip_rate_hz=2.0, windows=[]) for index in (here, there))
    require_same_answers(there, here)


def test_a_video_is_not_added_twice(filled: MilvusClipIndex) -> None:
    with pytest.raises(ValueError, match="'v03' is in the index already"):
        filled.add("v03", VIDEOS["v03"], clip_rate_hz=2.0, windows=[])


def test_a_view_finds_neither_additions_nor_removals_of_a_later_view(new_place: NewPlace, open_index: OpenIndex) -> None:
    view = open_index(new_place(), build_index({"a": VIDEOS["v03"], "b": VIDEOS["v11"]}))
    later = view.add("c", draw_unit_vectors(5, seed=3), clip_rate_hz=2.0, windows=[]).remove("b")
    assert {window.video_id for window, _ in later.search_windows(QUERIES[0], 9)} == {"a", "c"}
    assert {window.video_id for window, _ in view.search_windows(QUERIES[0], 9)} == {"a"}
    assert set(view.clip_scores(QUERIES[0], ["a", "b"])) == {"a"}


def test_more_hits_than_one_search_returns_are_found(
    new_place: NewPlace, open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = np.tile(QUERIES[0], (60, 1))
    here = build_index({**VIDEOS, "still": near})
    there = open_index(new_place(), here)
    monkeypatch.setattr("search.milvus.index.MAX_HITS", 50)
    found, expected = (index.search_windows(QUERIES[0], 12) for index in (there, here))
    assert [window for window, _ in found] == [window for window, _ in expected]


def test_videos_are_read_in_parts_within_the_limit_of_a_call(filled: MilvusClipIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.milvus.table._ROWS_PER_CALL", 7)
    scores = filled.clip_scores(QUERIES[0], VIDEOS)
    assert {video_id: len(row) for video_id, row in scores.items()} == {name: len(clips) for name, clips in VIDEOS.items()}
    np.testing.assert_allclose(scores["v12"], VIDEOS["v12"] @ QUERIES[0], atol=1e-5)


def test_only_missing_and_changed_videos_are_written_again(
    new_place: NewPlace, open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_place()
    open_index(place, build_index(VIDEOS))
    written: list[int] = []
    write = MilvusTable.write

    def watch(table: MilvusTable, videos: dict[int, StoredVideo]) -> None:
        written.extend(videos)
        write(table, videos)

    monkeypatch.setattr(MilvusTable, "write", watch)
    changed = build_index({**VIDEOS, "v03": VIDEOS["v04"], "more": VIDEOS["v05"]})
    again = open_index(place, changed)
    assert sorted(written) == sorted(map(compute_key, ("v03", "more")))
    require_same_answers(again, changed)


def test_a_collection_of_another_bundle_is_refused_with_the_remedy(new_place: NewPlace, open_index: OpenIndex) -> None:
    place = new_place()
    open_index(place, build_index(VIDEOS))
    remedy = "set CUEPOINT_MILVUS_COLLECTION to another name, or drop the collection in Milvus"
    with pytest.raises(ValueError, match=f"was made by the bundle {BUNDLE} .* but this is the bundle other .*{remedy}"):
        open_index(place, build_index(VIDEOS), bundle_version="other")


def test_a_collection_of_other_features_is_refused(new_place: NewPlace, open_index: OpenIndex) -> None:
    place = new_place()
    open_index(place, build_index(VIDEOS))
    other = build_index(VIDEOS)
    other.fingerprint = type(FINGERPRINT)(identity={"weights": "other"}, environment={})
    with pytest.raises(ValueError, match=f"from features {FINGERPRINT.digest}, but .* with features {other.fingerprint.digest}"):
        open_index(place, other)


def test_strays_are_passed_over_and_discarded(new_place: NewPlace, open_index: OpenIndex) -> None:
    place = new_place()
    everything = open_index(place, build_index(VIDEOS))
    few = open_index(place, build_index({name: VIDEOS[name] for name in ("v03", "v11")}))
    assert {window.video_id for window, _ in few.search_windows(QUERIES[0], 3)} == {"v03", "v11"}
    few.discard_strays()
    assert {window.video_id for window, _ in everything.search_windows(QUERIES[0], 30)} == {"v03", "v11"}


def test_a_video_that_a_killed_process_wrote_in_part_is_written_again(new_place: NewPlace, open_index: OpenIndex) -> None:
    place, source = new_place(), build_index(VIDEOS)
    index = open_index(place, source)
    index._table._ask("delete", filter=f"video == {compute_key('v12')} and clip == 0")
    assert index._table.find_digest(compute_key("v12")) is None
    require_same_answers(open_index(place, source), source)


def add_and_die(uri: str, acknowledged: str) -> None:
    index = MilvusClipIndex.open(MilvusAddress(uri, collection="kept"), build_index(VIDEOS), bundle_version=BUNDLE)
    index.add("upload", draw_unit_vectors(25, seed=9), clip_rate_hz=2.0, windows=[]).remove("v04")
    Path(acknowledged).touch()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_acknowledged_videos_are_found_after_the_process_was_killed(tmp_path: Path, open_index: OpenIndex) -> None:
    uri, acknowledged = str(tmp_path / "lite.db"), tmp_path / "acknowledged"
    process = multiprocessing.get_context("spawn").Process(target=add_and_die, args=(uri, str(acknowledged)))
    process.start()
    process.join(120)
    assert (process.exitcode, acknowledged.exists()) == (-signal.SIGKILL, True)
    videos = {name: clips for name, clips in VIDEOS.items() if name != "v04"} | {"upload": draw_unit_vectors(25, seed=9)}
    place = MilvusAddress(uri, collection="kept")
    table = open_index(place, build_index({"v03": VIDEOS["v03"]}))._table
    assert table.list_digests() == {compute_key(name): store_video(clips).digest for name, clips in videos.items()}
    require_same_answers(open_index(place, build_index(videos)), build_index(videos))


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(ConnectionError, match="the Milvus request failed"):
        MilvusClipIndex.open(MilvusAddress("http://127.0.0.1:9", timeout_s=1), build_index(VIDEOS), bundle_version=BUNDLE)


def test_a_missing_pymilvus_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.milvus.table.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pymilvus is not installed; run: pip install"):
        MilvusClipIndex.open(MilvusAddress("http://127.0.0.1:9"), build_index(VIDEOS), bundle_version=BUNDLE)


def test_the_environment_names_the_server_and_shows_no_secret() -> None:
    place = find_milvus({"CUEPOINT_MILVUS_URI": "http://me:secret@milvus:19530", "CUEPOINT_MILVUS_TOKEN": "secret"})
    assert place == MilvusAddress("http://me:secret@milvus:19530", "secret")
    assert "secret" not in repr(place)
    assert find_milvus({}) is None


def test_a_token_without_a_server_is_refused() -> None:
    with pytest.raises(ValueError, match="is set without CUEPOINT_MILVUS_URI"):
        find_milvus({"CUEPOINT_MILVUS_TOKEN": "secret"})

"""The clip index finds videos by their best clip, exactly, and refuses damaged files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from corpus.store import Fingerprint
from search.clip_index import FaissClipIndex, Hits, Vectors

FINGERPRINT = Fingerprint(identity={"weights": "abc"}, environment={"av": "18.1"})


def random_vectors(*, num_videos: int = 30, dim: int = 8, seed: int = 0) -> dict[str, Vectors]:
    generator = np.random.default_rng(seed)
    vectors = {}
    for number in range(num_videos):
        clips = generator.normal(size=(int(generator.integers(1, 40)), dim)).astype(np.float32)
        vectors[f"v{number:02d}"] = clips / np.linalg.norm(clips, axis=1, keepdims=True)
    return vectors


def build(vectors: dict[str, Vectors]) -> FaissClipIndex:
    return FaissClipIndex.build(vectors, clip_rate_hz=2.0, fingerprint=FINGERPRINT)


def axis(*values: float) -> Vectors:
    return np.array(values, dtype=np.float32)


def test_videos_are_ranked_by_their_best_clip() -> None:
    index = build({"a": np.stack([axis(0, 1), axis(0.6, 0.8)]), "b": np.stack([axis(1, 0)]), "c": np.stack([axis(-1, 0)])})
    found = [(window.video_id, round(score, 4)) for window, score in index.search_windows(axis(1, 0), 3)]
    assert found == [
        ("b", 1.0),
        ("a", 0.6),
        ("c", -1.0),
    ]


def test_the_search_equals_a_loop_over_all_videos() -> None:
    vectors = random_vectors()
    index = build(vectors)
    for query in random_vectors(seed=1)["v00"]:
        slow = sorted(((float((clips @ query).max()), name) for name, clips in vectors.items()), reverse=True)[:7]
        assert [window.video_id for window, _ in index.search_windows(query, 7)] == [name for _, name in slow]


def test_distinct_videos_are_found_when_one_video_holds_all_the_nearest_clips() -> None:
    near = np.tile(axis(1, 0), (500, 1))
    index = build({"long": near, "x": np.stack([axis(0, 1)]), "y": np.stack([axis(-1, 0)])})
    assert [window.video_id for window, _ in index.search_windows(axis(1, 0), 3)] == ["long", "x", "y"]


def test_a_search_in_few_videos_asks_for_hits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    index, asked = build(random_vectors()), list[int]()
    find = index._find_hits

    def watch(query: Vectors, num_hits: int, chosen: Sequence[str] | None) -> Hits:
        asked.append(num_hits)
        return find(query, num_hits, chosen)

    monkeypatch.setattr(index, "_find_hits", watch)
    found = index.search_windows(random_vectors(seed=1)["v00"][0], 9, video_ids=["v03", "v07"])
    assert {window.video_id for window, _ in found} == {"v03", "v07"}
    assert len(asked) == 1


def test_asking_for_too_many_videos_gives_all_of_them() -> None:
    assert len(build(random_vectors(num_videos=4)).search_windows(random_vectors()["v00"][0], 99)) == 4


def test_the_order_of_the_videos_does_not_change_the_answer() -> None:
    vectors = random_vectors()
    query = random_vectors(seed=2)["v00"][0]
    turned = dict(reversed(list(vectors.items())))
    assert build(vectors).search_windows(query, 10) == build(turned).search_windows(query, 10)


def test_clip_scores_are_the_inner_products_of_one_video() -> None:
    vectors = random_vectors()
    query = random_vectors(seed=2)["v00"][0]
    np.testing.assert_allclose(build(vectors).clip_scores(query, ["v07"])["v07"], vectors["v07"] @ query, rtol=1e-5)


def test_a_saved_index_answers_as_before_and_saves_to_the_same_bytes(tmp_path: Path) -> None:
    index = build(random_vectors())
    index.save(tmp_path / "a")
    loaded = FaissClipIndex.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    query = random_vectors(seed=2)["v00"][0]
    assert loaded.search_windows(query, 10) == index.search_windows(query, 10)
    assert loaded.fingerprint == FINGERPRINT
    assert loaded.get_clip_rate("v00") == 2.0
    assert all((tmp_path / "a" / file.name).read_bytes() == file.read_bytes() for file in (tmp_path / "b").iterdir())


def test_damaged_vectors_are_refused(tmp_path: Path) -> None:
    build(random_vectors()).save(tmp_path)
    path = tmp_path / "clips.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="clips.safetensors is damaged: sha256 .* expected .*; run: dvc repro --force index"):
        FaissClipIndex.load(tmp_path)


def test_a_missing_index_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no finished clip index; run: dvc repro index"):
        FaissClipIndex.load(tmp_path)


def test_vectors_that_are_not_of_unit_length_are_refused() -> None:
    with pytest.raises(ValueError, match="video 'a': clip vectors must have length 1, got one of length 2.0000"):
        build({"a": np.array([[2.0, 0.0]], dtype=np.float32)})


def test_a_video_without_clips_is_refused() -> None:
    with pytest.raises(ValueError, match=r"video 'a': clip vectors must be \(S, 2\) with S >= 1, got \(0, 2\)"):
        build({"a": np.zeros((0, 2), dtype=np.float32)})


def test_an_index_without_videos_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one video"):
        build({})


def test_a_query_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be finite, of shape \(8,\), got \(3,\)"):
        build(random_vectors()).search_windows(axis(1, 0, 0), 1)


def test_an_unknown_video_is_named() -> None:
    with pytest.raises(KeyError, match="'nowhere' is not in the index"):
        build(random_vectors()).clip_scores(random_vectors()["v00"][0], ["nowhere"])


def test_every_video_may_have_its_own_clip_rate(tmp_path: Path) -> None:
    vectors = random_vectors(num_videos=2)
    FaissClipIndex.build(vectors, clip_rate_hz={"v00": 2.0, "v01": 3.5}, fingerprint=FINGERPRINT).save(tmp_path)
    loaded = FaissClipIndex.load(tmp_path)
    assert [loaded.get_clip_rate(name) for name in ("v00", "v01")] == [2.0, 3.5]

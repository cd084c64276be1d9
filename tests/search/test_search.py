"""The two-stage search fuses both models' scores, suppresses overlaps per video and sorts deterministically."""

import numpy as np
import pytest
from numpy.typing import NDArray

from corpus.moments import RankedMoment
from corpus.store import Fingerprint
from corpus.windows import Window, WindowId
from search.clip_index import FaissClipIndex
from search.params import SearchParams
from search.two_stage import (
    ScoredSpans,
    SurvivingVideo,
    find_clips,
    find_survivors,
    fuse_scores,
    rank_collection,
    rank_in_video,
    sort_moments,
)

SETTINGS = SearchParams(survivors=2, window_weight=2, localizer_weight=0.5, max_iou=0.5, moments_per_video=2)
QUERY = np.array([1, 0], dtype=np.float32)


def unit(angles: list[float]) -> NDArray[np.float32]:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def make_index() -> FaissClipIndex:
    vectors = {"a": unit([0, 0, 1.5, 1.5]), "b": unit([1.5, 0.5, 0.5, 1.5]), "far": unit([3, 3, 3, 3])}
    return FaissClipIndex.build(vectors, clip_rate_hz=1.0, fingerprint=Fingerprint(identity={}, environment={}))


def candidates(*rows: tuple[float, float, float]) -> ScoredSpans:
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return ScoredSpans(table[:, :2], table[:, 2])


def test_a_span_covers_the_clips_whose_centres_it_holds() -> None:
    spans = np.array([[0.0, 2.0], [0.5, 1.5], [0.6, 1.6], [0.6, 0.9], [3.9, 9.0]])
    assert find_clips(spans, num_clips=4, clip_rate_hz=1.0).tolist() == [[0, 1], [0, 0], [1, 1], [0, 0], [3, 3]]


def survive(name: str, clip_scores: NDArray[np.float64], rate_hz: float, rows: ScoredSpans) -> SurvivingVideo:
    """Return a video of one window."""
    return SurvivingVideo(name, clip_scores, rate_hz, rows, np.full(len(rows.scores), clip_scores.max()))


def test_the_fused_score_is_the_span_score_plus_the_weighted_best_clip_and_logit() -> None:
    video = survive("a", np.array([0.8, 0.6, 0.1, 0.1]), 1.0, candidates((0, 2, -3.0)))
    assert fuse_scores([video], SETTINGS)["a"].scores == [pytest.approx(0.7 - 0.5 * 0.1 + 2 * 0.8 - 0.5 * 3)]


def test_videos_that_are_scored_together_are_scored_as_alone() -> None:
    generator = np.random.default_rng(3)
    videos = [
        survive(name, generator.normal(size=size), rate_hz, candidates(*rows))
        for name, size, rate_hz, rows in (
            ("a", 8, 1.0, [(0, 8, 0.3), (6, 8, -1.0), (2.5, 2.6, 0.0)]),  # the whole video, its end, less than a clip
            ("b", 3, 2.0, [(0, 0.5, 2.0)]),
            ("none", 4, 1.0, []),
            ("c", 5, 0.5, [(0, 10, 0.0), (0, 4, 1.0)]),
        )
    ]
    together = fuse_scores(videos, SETTINGS)
    for video in videos:
        alone = fuse_scores([video], SETTINGS)[video.video_id]
        np.testing.assert_allclose(together[video.video_id].scores, alone.scores, atol=1e-12)
    assert fuse_scores([], SETTINGS) == {}


def search(rows: ScoredSpans, index: FaissClipIndex, *, settings: SearchParams = SETTINGS, top_k: int) -> list[RankedMoment]:
    survivors = find_survivors(QUERY, index, settings).windows
    return rank_collection(QUERY, index, dict.fromkeys(survivors, rows), settings, top_k=top_k)


def test_the_survivors_are_the_windows_with_the_best_clips() -> None:
    assert find_survivors(QUERY, make_index(), SETTINGS).windows == [WindowId("a", 0), WindowId("b", 0)]
    assert find_survivors(QUERY, make_index(), SETTINGS, video_ids=["b", "far"]).windows == [WindowId("b", 0), WindowId("far", 0)]


def make_long_index() -> FaissClipIndex:
    vectors = {"long": unit([0, 1.5, 1.5, 1.5, 1.4, 0.1]), "short": unit([1.2, 1.2])}
    windows = {"long": [Window(0, 3, 0, 3), Window(2, 5, 2, 5), Window(3, 6, 3, 6)], "short": [Window(0, 2, 0, 2)]}
    fingerprint = Fingerprint(identity={}, environment={})
    return FaissClipIndex.build(vectors, clip_rate_hz=1.0, fingerprint=fingerprint, windows=windows)


def test_a_moment_counts_the_best_clip_of_its_own_window() -> None:
    found = {
        WindowId("long", 0): candidates((0, 1, 0.0)),
        WindowId("long", 2): candidates((4, 6, 0.0)),
        WindowId("short", 0): candidates((0, 2, 0.0)),
    }
    ranked = rank_collection(QUERY, make_long_index(), found, SETTINGS, top_k=9)
    first, second, fifth, last = np.cos([0, 1.5, 1.4, 0.1])
    expected = {
        0.0: first - 0.5 * second + 2 * first,
        4.0: (fifth + last) / 2 - 0.5 * second + 2 * last,
    }
    for moment in ranked[:2]:
        assert moment.score == pytest.approx(expected[moment.start_s], abs=1e-6)
    assert ranked[2] == ("short", 0.0, 2.0, pytest.approx(3 * np.cos(1.2), abs=1e-6))  # the whole video: no flanks


def test_windows_of_a_long_video_survive_alone_and_are_suppressed_together() -> None:
    index = make_long_index()
    assert find_survivors(QUERY, index, SETTINGS).windows == [WindowId("long", 0), WindowId("long", 2)]
    found = {
        WindowId("long", 2): candidates((3, 6, 2.0), (3, 4, 0.0)),
        WindowId("long", 0): candidates((0, 3, 0.0), (2.9, 6, 1.0)),
    }
    ranked = rank_collection(QUERY, index, found, SETTINGS, top_k=9)
    assert [moment[:3] for moment in ranked] == [("long", 3.0, 6.0), ("long", 0.0, 3.0)]


def test_overlapping_candidates_of_a_video_give_one_moment() -> None:
    rows = candidates((0, 2, 3.0), (0, 2.2, 2.9), (2, 4, -9.0))
    found = search(rows, make_index(), top_k=10)
    assert [moment[:3] for moment in found if moment.video_id == "a"] == [("a", 0.0, 2.0), ("a", 2.0, 4.0)]


def test_a_video_gives_no_more_than_its_share_of_moments() -> None:
    rows = candidates((0, 1, 3.0), (1, 2, 2.0), (2, 3, 1.0), (3, 4, 0.0))
    found = search(rows, make_index(), top_k=10)
    assert len(found) == 4
    assert {moment.video_id for moment in found} == {"a", "b"}


def test_the_answer_is_sorted_and_cut_to_top_k() -> None:
    rows = candidates((0, 1, 3.0), (2, 3, 1.0))
    found = search(rows, make_index(), top_k=3)
    scores = [moment.score for moment in found]
    assert len(found) == 3
    assert scores == sorted(scores, reverse=True)


def test_ties_are_broken_by_video_and_start() -> None:
    same = unit([0, 0, 0, 0])
    vectors = {"b": same, "a": same}
    index = FaissClipIndex.build(vectors, clip_rate_hz=1.0, fingerprint=Fingerprint(identity={}, environment={}))
    rows = candidates((1, 2, 0.0), (2, 3, 0.0))
    found = search(rows, index, top_k=4)
    assert [(moment.video_id, moment.start_s) for moment in found] == [("a", 1.0), ("a", 2.0), ("b", 1.0), ("b", 2.0)]


def test_a_video_without_candidates_gives_no_moment() -> None:
    assert search(candidates(), make_index(), top_k=4) == []


def test_without_localizer_weight_the_logits_do_not_matter() -> None:
    settings = SETTINGS.model_copy(update={"localizer_weight": 0.0})
    low, high = candidates((0, 1, -5.0), (2, 3, 5.0)), candidates((0, 1, 5.0), (2, 3, -5.0))
    index = make_index()
    first = search(low, index, settings=settings, top_k=9)
    assert first == search(high, index, settings=settings, top_k=9)


def test_in_one_video_the_localizer_ranks_alone() -> None:
    rows = candidates((0, 2, 0.0), (0, 2.1, -1.0), (5, 6, 2.0))
    found = rank_in_video("v", rows, SETTINGS, top_k=5)
    assert found == [RankedMoment("v", 5.0, 6.0, pytest.approx(0.880797, abs=1e-6)), RankedMoment("v", 0.0, 2.0, 0.5)]


@pytest.mark.parametrize("top_k", [1, 3, 10, 100])
def test_videos_skipped_by_the_suppression_change_no_answer(top_k: int) -> None:
    generator = np.random.default_rng(top_k)
    clips = {f"v{number:02}": unit(list(generator.uniform(0, 3, 8))) for number in range(30)}
    index = FaissClipIndex.build(clips, clip_rate_hz=1.0, fingerprint=Fingerprint(identity={}, environment={}))
    starts = generator.integers(0, 6, (30, 20)) + np.zeros(20)
    rows = [np.stack([start, start + generator.integers(1, 3, 20), generator.integers(-3, 3, 20)], axis=1) for start in starts]
    found = {WindowId(name, 0): candidates(*map(tuple, row)) for name, row in zip(clips, rows, strict=True)}
    alone = [rank_collection(QUERY, index, {window: one}, SETTINGS, top_k=100) for window, one in found.items()]
    assert (
        rank_collection(QUERY, index, found, SETTINGS, top_k=top_k)
        == sort_moments([m for ranked in alone for m in ranked])[:top_k]
    )

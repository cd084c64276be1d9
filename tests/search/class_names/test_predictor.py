"""Zero-shot search with classes set by hand: ranking of videos and shots, limits, changes, and mismatched parts."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from corpus.media.pictures.views import View, ViewSampling
from search.answers import SearchQuery
from search.class_names.bundle import ClassBundle
from search.class_names.collection import ClassCollection
from search.class_names.predictor import ClassPredictor, build_frame_timeline
from search.class_names.video import ClassifiedVideo, build_video
from search.indexed_video import IndexedVideo
from search.model_name import ModelName

NAMES = ("dog", "cat", "car")
SAMPLING = ViewSampling(frame_rate_hz=2.0, size_px=224, views=(View(resize="stretch"),))
SENTENCES = {"a dog": [1.0, 0.0, 0.0], "a cat": [0.0, 1.0, 0.0], "a dog and a cat": [0.8, 0.6, 0.0], "nothing": [0.0, 0.0, -1.0]}


class Words:
    """A tokenizer whose ids are the numbers of whole sentences."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return np.array([[1 + list(SENTENCES).index(text)] for text in texts])

    def find_unknown(self, text: str) -> list[str]:
        return []


class Networks:
    """Gives each sentence the vector that stands beside it."""

    def encode_sentences(self, token_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([list(SENTENCES.values())[row - 1] for row in token_ids[:, 0]])


def make_video(*shots: tuple[int, list[float]]) -> ClassifiedVideo:
    """Return a video of shots: the number of frames, and the logits of each."""
    logits = np.concatenate([np.tile(np.array(values, dtype=np.float16), (count, 1)) for count, values in shots])
    looks = np.concatenate(
        [np.tile(np.eye(len(shots), dtype=np.float16)[row], (count, 1)) for row, (count, _) in enumerate(shots)]
    )
    return build_video(logits, looks, len(logits) / 2)


VIDEOS = {
    "dog then car": make_video((6, [8.0, 0.0, 1.0]), (4, [1.0, 0.0, 9.0])),
    "cat": make_video((4, [2.0, 7.0, 0.0])),
    "a little dog": make_video((20, [0.0, 0.0, 3.0]), (2, [9.0, 0.0, 0.0])),
}


def describe(name: str, video: ClassifiedVideo) -> IndexedVideo:
    return IndexedVideo(name, f"{name}.mp4", video.duration_s, "", "0" * 64)


def build(videos: dict[str, ClassifiedVideo]) -> ClassPredictor:
    collection = ClassCollection("pets", Path("/pets"), {name: describe(name, one) for name, one in videos.items()}, videos)
    manifest = SimpleNamespace(sampling=SAMPLING)
    bundle = SimpleNamespace(
        folder=Path("/nowhere"),
        manifest=manifest,
        class_names=NAMES,
        name_vectors=np.eye(3),
        tokenizer=Words(),
        model=ModelName(name="hand", revision="1"),
    )
    predictor = ClassPredictor(cast(ClassBundle, bundle), collection)
    cast(Any, predictor)._networks = Networks()
    return predictor


@pytest.fixture
def predictor() -> ClassPredictor:
    return build(VIDEOS)


def search(predictor: ClassPredictor, query: str, top_k: int = 3, **limits: Any) -> list[tuple[str, float, float]]:
    (answer,) = predictor.search(SearchQuery(query, top_k, **limits))
    return [moment[:3] for moment in answer.moments]


def test_each_video_answers_with_its_best_shot_and_ranks_by_its_best_frames(predictor: ClassPredictor) -> None:
    # 3 of 10 frames: 8; 2 of 4: 2; 7 of 22: 2 x 9 / 7
    assert search(predictor, "a dog") == [("dog then car", 0.0, 3.0), ("a little dog", 10.0, 11.0), ("cat", 0.0, 2.0)]
    (answer,) = predictor.search(SearchQuery("a dog", 3))
    assert [moment.score for moment in answer.moments] == pytest.approx([8.0, 18 / 7, 2.0])
    assert answer.found
    assert {moment.confidence for moment in answer.moments} == {None}


def test_fewer_answers_than_videos_are_those_of_the_best_videos(predictor: ClassPredictor) -> None:
    assert search(predictor, "a cat", 1) == [("cat", 0.0, 2.0)]
    assert [video for video, *_ in search(predictor, "a dog", 2)] == ["dog then car", "a little dog"]


def test_further_shots_follow_where_there_are_fewer_videos_than_answers(predictor: ClassPredictor) -> None:
    found = search(predictor, "a dog", 2, video_ids=frozenset({"dog then car"}))
    assert found == [("dog then car", 0.0, 3.0), ("dog then car", 3.0, 5.0)]
    (answer,) = predictor.search(SearchQuery("a dog", 2, video_ids=frozenset({"dog then car"})))
    assert [moment.score for moment in answer.moments] == pytest.approx([8.0, 1.0])  # 7 less, as the shot is


def test_the_answer_says_by_which_classes_it_was_found(predictor: ClassPredictor) -> None:
    (answer,) = predictor.search(SearchQuery("a dog and a cat", 1))
    assert answer.basis is not None
    assert answer.basis.grounding == pytest.approx(0.8)
    assert [one.name for one in answer.basis.classes] == ["dog", "cat"]
    assert [one.weight for one in answer.basis.classes] == pytest.approx([0.4096 / 0.5392, 0.1296 / 0.5392])


def test_a_sentence_that_no_name_is_near_is_answered_without_ground(predictor: ClassPredictor) -> None:
    (answer,) = predictor.search(SearchQuery("nothing", 3))
    assert answer.basis is not None
    assert (answer.basis.grounding, answer.basis.classes) == (0.0, ())
    assert {moment.score for moment in answer.moments} == {0.0}


def test_one_video_answers_with_all_its_shots_and_the_course_of_its_frames(predictor: ClassPredictor) -> None:
    answer = predictor.localize("a dog", "dog then car", 5)
    assert [(moment.start_s, moment.end_s, moment.score) for moment in answer.moments] == [(0.0, 3.0, 8.0), (3.0, 5.0, 1.0)]
    assert answer.timeline is not None
    assert answer.timeline.scores.tolist() == [1.0] * 6 + [0.0] * 4
    assert answer.timeline.times_s.tolist() == [0.25 + 0.5 * number for number in range(10)]
    assert answer.timeline.candidates == answer.moments


def test_a_video_outside_the_collection_is_answered_like_one_inside(predictor: ClassPredictor) -> None:
    inside, outside = predictor.localize("a dog", "cat", 5), predictor.localize_encoded("a dog", VIDEOS["cat"], 5)
    assert [moment[1:] for moment in outside.moments] == [moment[1:] for moment in inside.moments]
    assert {moment.video_id for moment in outside.moments} == {""}


def test_videos_come_and_go(predictor: ClassPredictor) -> None:
    other = make_video((2, [9.5, 0.0, 0.0]))
    before = predictor.collection
    predictor.add_video(describe("new", other), other)
    assert search(predictor, "a dog", 1) == [("new", 0.0, 1.0)]
    with pytest.raises(ValueError, match="the video 'new' is in the collection already"):
        predictor.add_video(describe("new", other), other)
    predictor.remove_video("new")
    assert search(predictor, "a dog", 1) == [("dog then car", 0.0, 3.0)]
    assert list(before.videos) == list(VIDEOS)
    with pytest.raises(KeyError, match="there is no video 'new' in the collection of 3 videos"):
        predictor.remove_video("new")


def test_a_collection_that_lost_its_last_video_answers_with_nothing(predictor: ClassPredictor) -> None:
    for name in VIDEOS:
        predictor.remove_video(name)
    (answer,) = predictor.search(SearchQuery("a dog", 3))
    assert (answer.found, answer.moments, answer.best_guess) == (False, (), None)


def test_a_video_of_another_classifier_is_refused(predictor: ClassPredictor) -> None:
    other = make_video((2, [1.0, 2.0]))
    with pytest.raises(ValueError, match="video 'other' has 2 classes, the collection 3; encode the video again"):
        predictor.add_video(describe("other", other), other)


def test_limits_and_unknown_videos_are_refused(predictor: ClassPredictor) -> None:
    with pytest.raises(KeyError, match="there is no video 'lion'"):
        search(predictor, "a dog", video_ids=frozenset({"cat", "lion"}))
    with pytest.raises(ValueError, match=r"min_confidence = 0\.5: hand gives no confidence"):
        search(predictor, "a dog", min_confidence=0.5)
    with pytest.raises(ValueError, match="0 queries at once; give 1 to 64"):
        predictor.search([])
    assert search(predictor, "a dog", min_score=5.0) == [("dog then car", 0.0, 3.0)]


def test_several_sentences_are_answered_in_their_order(predictor: ClassPredictor) -> None:
    dog, cat = predictor.search([SearchQuery("a dog", 1), SearchQuery("a cat", 1)])
    assert (dog.moments[0].video_id, cat.moments[0].video_id) == ("dog then car", "cat")


def test_a_search_misses_nothing_that_looking_at_every_video_finds(predictor: ClassPredictor) -> None:
    searched = predictor.rank_survivors("a dog", top_k=4)
    assert [window.video_id for window in searched.windows] == list(VIDEOS)
    assert searched.moments == predictor.rank_videos("a dog", list(VIDEOS), top_k=4)


def test_a_long_timeline_keeps_the_largest_frame_of_each_part() -> None:
    scores = np.zeros(2500)
    scores[1201] = 4.0
    timeline = build_frame_timeline(scores, (), 1250.0)
    assert len(timeline.scores) == 1000
    assert timeline.scores.max() == 1.0
    assert timeline.times_s[timeline.scores.argmax()] == pytest.approx(600.6, abs=1.3)


def test_a_video_of_equal_frames_has_a_flat_timeline() -> None:
    assert build_frame_timeline(np.full(4, 2.0), (), 2.0).scores.tolist() == [0.0] * 4


def test_a_logit_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not a finite float16"):
        build_video(np.full((2, 3), np.inf, dtype=np.float16), np.ones((2, 3), dtype=np.float16), 1.0)

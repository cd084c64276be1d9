"""Several sentences at once, searches limited to some videos, long videos, and changes during a search."""

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.answers import Answer, SearchQuery, Verdict
from search.bundle import Bundle, load_bundle
from search.calibration import Calibration, Calibrations
from search.collection import Collection, load_collection
from search.indexed_video import IndexedVideo
from search.indexing.video_indexer import EncodedVideo, VideoIndexer
from search.predictor import MAX_QUERIES, MomentPredictor

QUERIES = ("the red circle spins", "a square grows and shrinks", "leaves", "then the blue square moves left again and spins")


@pytest.fixture(scope="module")
def bundle(small_project: Any) -> Bundle:
    return load_bundle(small_project.bundle)


@pytest.fixture(scope="module")
def collection(small_project: Any, bundle: Bundle) -> Collection:
    return load_collection(small_project.index, bundle.manifest)


@pytest.fixture
def predictor(bundle: Bundle, collection: Collection) -> MomentPredictor:
    return MomentPredictor(bundle, collection, num_threads=1)


@pytest.fixture(scope="module")
def long_video(bundle: Bundle) -> EncodedVideo:
    features = np.random.default_rng(3).normal(size=(100, 4, 8)).astype(np.float16)
    return VideoIndexer(bundle).encode_features({"video": features}, duration_s=50.0)


def name(video_id: str, encoded: EncodedVideo) -> IndexedVideo:
    return IndexedVideo(video_id, "", encoded.duration_s, "", "")


def search(predictor: MomentPredictor, query: str = QUERIES[0], **limits: Any) -> Answer:
    return predictor.search(SearchQuery(query, **limits))[0]


def test_several_sentences_get_the_answers_of_each_alone(predictor: MomentPredictor) -> None:
    together = predictor.search([SearchQuery(query, top_k=9) for query in QUERIES])
    for query, found in zip(QUERIES, together, strict=True):
        alone = search(predictor, query, top_k=9)
        assert [moment[:3] for moment in found.moments] == [moment[:3] for moment in alone.moments]
        numbers = [[moment.score, moment.confidence] for moment in found.moments]
        np.testing.assert_allclose(numbers, [[moment.score, moment.confidence] for moment in alone.moments], atol=1e-5)


@pytest.mark.parametrize("count", [0, MAX_QUERIES + 1])
def test_too_many_sentences_or_none_are_refused(predictor: MomentPredictor, count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} queries at once; give 1 to {MAX_QUERIES}"):
        predictor.search([SearchQuery("a circle")] * count)


def test_a_search_may_be_limited_to_videos(predictor: MomentPredictor) -> None:
    found = search(predictor, top_k=20, video_ids=frozenset({"v1", "v3"}))
    assert {moment.video_id for moment in found.moments} == {"v1", "v3"}
    with pytest.raises(KeyError, match="'nowhere' is not in the index"):
        search(predictor, video_ids=frozenset({"nowhere"}))


def test_an_answer_without_moments_has_the_best_guess(bundle: Bundle, collection: Collection) -> None:
    strict = Calibration(slope=1.0, clip_slope=0.0, standing_slope=0.0, intercept=0.0, threshold=1.0, auc=0.9)
    manifest = bundle.manifest.model_copy(update={"calibration": Calibrations(search=strict, localize=strict, missing={})})
    predictor = MomentPredictor(replace(bundle, manifest=manifest), collection, num_threads=1)
    for answer in (search(predictor), predictor.localize(QUERIES[0], "v1")):
        assert answer.verdict is Verdict.NOT_FOUND
        assert answer.moments == ()
        assert answer.best_guess is not None
    assert search(predictor, min_confidence=0.0).found


def test_without_calibration_there_is_no_confidence_and_none_can_be_asked_for(bundle: Bundle, collection: Collection) -> None:
    nothing = Calibrations(search=None, localize=None, missing={"search": "the split 'val' has no queries"})
    manifest = bundle.manifest.model_copy(update={"calibration": nothing})
    predictor = MomentPredictor(replace(bundle, manifest=manifest), collection, num_threads=1)
    answer = search(predictor)
    assert answer.verdict is Verdict.UNSURE  # the bundle's vocabulary knows too few sentences of the bank
    assert answer.reason == 'The reliability of "not found" has not been measured for these models.'
    assert answer.moments[0].confidence is None
    with pytest.raises(ValueError, match="these models give no confidence, .*; use min_score"):
        search(predictor, min_confidence=0.5)
    assert search(predictor, min_confidence=0.0).moments == answer.moments


def test_the_timeline_peaks_inside_a_candidate(predictor: MomentPredictor) -> None:
    answer = predictor.localize(QUERIES[0], "v3", top_k=2)
    assert answer.timeline is not None
    times_s, scores, candidates = answer.timeline
    peak_s = times_s[scores.argmax()]
    assert any(one.start_s <= peak_s < one.end_s for one in candidates)
    assert 0 < scores.max() <= 1
    assert candidates[:2] == answer.moments
    assert len(candidates) > 2
    assert times_s.shape == scores.shape == (16,)


def test_an_added_video_is_found_and_a_removed_one_is_not(predictor: MomentPredictor, long_video: EncodedVideo) -> None:
    before = predictor.collection
    predictor.add_video(name("long", long_video), long_video)
    answer = search(predictor, video_ids=frozenset({"long"}), top_k=3)
    assert {moment.video_id for moment in answer.moments} == {"long"}
    assert predictor.localize(QUERIES[0], "long").moments == tuple(
        moment._replace(video_id="long") for moment in predictor.localize_encoded(QUERIES[0], long_video).moments
    )
    with pytest.raises(ValueError, match="'long' is in the index already"):
        predictor.add_video(name("long", long_video), long_video)
    predictor.remove_video("long")
    assert search(predictor) == MomentPredictor(predictor.bundle, before, num_threads=1).search(SearchQuery(QUERIES[0]))[0]
    with pytest.raises(KeyError, match="there is no video 'long' in the collection of 4 videos"):
        predictor.remove_video("long")


def test_a_collection_may_become_empty(predictor: MomentPredictor) -> None:
    for video_id in list(predictor.collection.videos):
        predictor.remove_video(video_id)
    assert search(predictor) == Answer(Verdict.NOT_FOUND, (), None, ())


def test_a_video_of_another_bundle_is_refused(predictor: MomentPredictor, long_video: EncodedVideo) -> None:
    video = long_video.cells["video"]
    other = long_video._replace(cells={"video": video._replace(array=video.array[:1])})
    expected = r"video 'x': cells of the stream 'video' must be \(50, 4, 8\), got \(1, 4, 8\); encode the video again"
    with pytest.raises(ValueError, match=expected):
        predictor.add_video(name("x", other), other)
    renamed = long_video._replace(cells={"sound": video})
    with pytest.raises(ValueError, match="video 'x': cells must be of the streams video, got sound; encode the video again"):
        predictor.add_video(name("x", renamed), renamed)


def test_every_window_of_a_long_video_is_localized_and_moments_lie_in_it(
    predictor: MomentPredictor, long_video: EncodedVideo
) -> None:
    assert len(long_video.cut(predictor.bundle.manifest).windows) == 12
    answer = predictor.localize_encoded(QUERIES[0], long_video, top_k=100)
    starts_s = [moment.start_s for moment in answer.moments]
    assert all(0 <= moment.start_s < moment.end_s <= 50.0 for moment in answer.moments)
    assert min(starts_s) < 8
    assert max(starts_s) > 42
    assert answer.timeline is not None
    assert (answer.timeline.scores > 0).all()


def test_running_searches_keep_their_collection(predictor: MomentPredictor, long_video: EncodedVideo) -> None:
    done, failures = threading.Event(), list[BaseException]()

    def ask() -> None:
        try:
            while not done.is_set():
                answer = search(predictor, top_k=20)
                assert {moment.video_id for moment in answer.moments} <= {"v0", "v1", "v2", "v3", "long"}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(25):
        predictor.add_video(name("long", long_video), long_video)
        predictor.remove_video("long")
    done.set()
    for thread in threads:
        thread.join()
    assert not failures

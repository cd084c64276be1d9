"""Presence in a collection: calibration by labels on their corpus, otherwise by the bank, and the cohort of videos."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from corpus.moments import RankedMoment
from corpus.store import Fingerprint
from corpus.text.vocabulary import Vocabulary
from search.bundle import load_bundle
from search.calibration import Calibration, Calibrations
from search.clip_index import FaissClipIndex, Vectors
from search.cohort import MAX_VIDEOS, Cohort
from search.collection import load_collection
from search.networks import Networks, embed_bank
from search.null_calibration import LEAST_SENTENCES, SEARCH_AUC, NullScores
from search.null_sentences import SENTENCES, choose_sentences
from search.presence import CollectionPresence

WIDTH = 6
NOTHING = Calibrations(search=None, localize=None, missing={})
LABELS = Calibration(slope=1.0, clip_slope=2.0, standing_slope=0.5, intercept=0.0, threshold=0.4, auc=0.9)


def draw(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def build_index(num_videos: int) -> FaissClipIndex:
    vectors = {f"v{number:03}": draw(2 + number % 3, seed=number) for number in range(num_videos)}
    windows: dict[str, Any] = {name: () for name in vectors}
    return FaissClipIndex.build(vectors, clip_rate_hz=2.0, fingerprint=Fingerprint({}, {}), windows=windows)


def make(
    index: FaissClipIndex, bank: Vectors, calibrations: Calibrations = NOTHING, *, is_labelled: bool = False
) -> CollectionPresence:
    embed: Callable[[], Vectors] = lambda: bank  # noqa: E731
    return CollectionPresence(index, calibrations, is_labelled=is_labelled, embed_bank=embed)


def score_by_loop(index: FaissClipIndex, query: Vectors, video_id: str) -> float:
    return max(float(clip @ query) for clip in index.get_vectors(video_id))


def test_the_cohort_scores_the_best_clip_of_each_video() -> None:
    index, queries = build_index(9), draw(4, seed=99)
    cohort = Cohort.build(index)
    assert cohort.video_ids == tuple(sorted(index.video_ids))
    slow = [[score_by_loop(index, query, name) for name in cohort.video_ids] for query in queries]
    np.testing.assert_allclose(cohort.score(queries), slow, atol=1e-6)
    np.testing.assert_allclose(cohort.score_others(queries[0], "v004"), [slow[0][:4] + slow[0][5:]], atol=1e-6)


def test_the_cohort_of_a_large_collection_is_bounded_and_spread_evenly() -> None:
    cohort = Cohort.build(build_index(2 * MAX_VIDEOS))
    assert len(cohort.video_ids) == MAX_VIDEOS
    assert (cohort.video_ids[0], cohort.video_ids[-1]) == ("v000", f"v{2 * MAX_VIDEOS - 1}")


@pytest.mark.parametrize("video_ids", [None, ["v001", "v004"]])
def test_a_search_without_labels_is_compared_with_the_bank_in_what_was_searched(video_ids: list[str] | None) -> None:
    index, bank, query = build_index(9), draw(30, seed=7), draw(1, seed=8)[0]
    searched = video_ids or list(index.video_ids)
    best = max(score_by_loop(index, query, name) for name in searched)
    null = [max(score_by_loop(index, sentence, name) for name in searched) for sentence in bank]
    said = make(index, bank).assess_search([RankedMoment("v001", 0, 1, 2.0)], query, clip_score=best, video_ids=video_ids)
    assert said is not None
    p_value = (1 + sum(other >= best for other in null)) / 31
    odds = (0.35 / 0.65) * p_value ** (0.35 / 0.65 - 1)
    assert said.confidences[0] == pytest.approx(odds / (1 + odds))
    assert said.auc is None


def test_an_index_beyond_the_cohort_gives_the_same_null_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    index, bank, query = build_index(9), draw(30, seed=7), draw(1, seed=8)[0]
    ranked = [RankedMoment("v001", 0, 1, 2.0), RankedMoment("v002", 0, 1, 1.0)]
    whole = make(index, bank).assess_search(ranked, query, clip_score=0.7, video_ids=None)
    monkeypatch.setattr("search.cohort.MAX_VIDEOS", 3)
    part = make(index, bank).assess_search(ranked, query, clip_score=0.7, video_ids=None)
    assert whole is not None
    assert part is not None
    np.testing.assert_allclose(whole.confidences, part.confidences)


def test_labels_count_only_on_the_videos_that_they_are_about() -> None:
    index, bank, query = build_index(9), draw(30, seed=7), draw(1, seed=8)[0]
    ranked = [RankedMoment("v001", 0, 1, 0.5)]
    learned = Calibrations(search=LABELS, localize=LABELS, missing={})
    ours, theirs = (make(index, bank, learned, is_labelled=is_labelled) for is_labelled in (True, False))
    for one, auc in ((ours, 0.9), (theirs, None)):
        searched = one.assess_search(ranked, query, clip_score=0.7, video_ids=None)
        asked = one.assess_video(ranked, query, video_id="v001", clip_score=0.7)
        assert searched is not None
        assert asked is not None
        assert searched.auc == asked.auc == auc


def test_in_one_video_labels_use_the_logit_and_the_standing_among_other_videos() -> None:
    index, query = build_index(12), draw(1, seed=8)[0]
    learned = Calibrations(search=None, localize=LABELS, missing={})
    presence = make(index, draw(0, seed=0), learned, is_labelled=True)
    others = [score_by_loop(index, query, name) for name in index.video_ids if name != "v003"]
    standing = (0.9 - np.mean(others)) / np.std(others)
    assert presence.measure_standing(query, video_id="v003", clip_score=0.9) == pytest.approx(standing, rel=1e-5)
    said = presence.assess_video([RankedMoment("v003", 0, 1, 0.8)], query, video_id="v003", clip_score=0.9)
    assert said is not None
    logit = np.log(0.8 / 0.2) + 2 * 0.9 + 0.5 * standing
    assert said.confidences[0] == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-5)


def test_too_few_sentences_say_nothing() -> None:
    index, query = build_index(9), draw(1, seed=8)[0]
    presence = make(index, draw(LEAST_SENTENCES - 1, seed=7))
    ranked = [RankedMoment("v001", 0, 1, 0.5)]
    assert presence.assess_search(ranked, query, clip_score=0.7, video_ids=None) is None
    assert presence.assess_video(ranked, query, video_id="v001", clip_score=0.7) is None


def test_a_measured_area_is_told_and_shapes_the_confidence() -> None:
    bank = np.random.default_rng(0).normal(size=(30, 9))
    names = tuple(f"v{number}" for number in range(9))
    assumed, measured = NullScores(names, bank), NullScores(names, bank, auc=0.95)
    answers = [one.assess_search(np.array([-9.0])) for one in (assumed, measured)]
    assert [one and one.auc for one in answers] == [None, 0.95]
    assert [float(one.confidences[0]) for one in answers if one] == pytest.approx([1 - SEARCH_AUC, 1 - 0.95])  # of p = 1


def test_the_bank_has_particular_sentences_and_those_of_mostly_unknown_words_are_left_out() -> None:
    assert len(SENTENCES) == len(set(SENTENCES)) >= 100
    vocabulary = Vocabulary.from_texts(["the red circle moves to the left", "a blue square spins"])
    chosen = choose_sentences(vocabulary)
    assert "a red circle moves to the left" in chosen
    assert "penguins slide down a slope" not in chosen


def test_an_index_holds_the_bank_as_its_bundle_embeds_it(small_project: Any) -> None:
    bundle = load_bundle(small_project.bundle)
    kept = load_collection(small_project.index, bundle.manifest).bank
    assert kept is not None
    assert len(kept) == len(choose_sentences(bundle.tokenizer))
    np.testing.assert_array_equal(kept, embed_bank(bundle, Networks(bundle, num_threads=1)))

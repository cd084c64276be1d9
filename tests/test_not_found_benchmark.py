"""The figures of the benchmark of verdicts: by hand, and as lines of its page."""

import numpy as np
import pytest
from not_found import Asked, measure, write_tables
from not_found_names import EVIDENCE, Scores, build_trials, try_evidence

ROW = {"trials": 4, "auc": [0.75, 0.5, 1.0], "ece": [0.1, 0.0, 0.2], "found_present": [0.5, 0, 1], "found_absent": [0, 0, 0.5]}


def test_figures_by_hand_with_intervals_over_videos() -> None:
    confidences = np.array([0.9, 0.4, 0.6, 0.1])
    asked = Asked(confidences, np.array([True, True, False, False]), np.array([0, 1, 0, 1]), threshold=0.5)
    found = measure(asked)
    assert found["trials"] == 4
    assert found["auc"][0] == 0.75  # 0.4 lies below 0.6
    assert found["ece"][0] == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)
    assert (found["found_present"][0], found["found_absent"][0]) == (0.5, 0.5)
    for name in ("auc", "ece", "found_present", "found_absent"):
        value, low, high = found[name]
        assert low <= value <= high


def test_every_interval_holds_one_kind_of_both_videos() -> None:
    certain = Asked(np.array([1.0, 1.0, 0.0, 0.0]), np.array([True, True, False, False]), np.array([0, 1, 0, 1]), threshold=0.5)
    assert measure(certain)["auc"] == [1.0, 1.0, 1.0]


def test_the_page_says_the_bound_and_which_verdict_stands_below_the_threshold() -> None:
    rows = [
        {"asked": "search", "by": "labels", "auc_validation": 0.74} | ROW,
        {"asked": "localize", "by": "labels", "auc_validation": 0.75} | ROW,
        {"asked": "localize", "by": "bank"} | ROW,
    ]
    record = {"name": "mine", "videos": 9, "commit": "abc", "machine": "2 cores", "right_video_first": 0.5, "rows": rows}
    text = "\n".join(write_tables([record]))
    assert "bounds the area of a search by about 0.75" in text
    lines = [line for line in text.splitlines() if "0.750 [0.500, 1.000]" in line]
    assert [line.rsplit("|", 2)[1].strip() for line in lines] == ["unsure", "not found", "unsure"]


def build_scores(recipe: list[list[float]]) -> Scores:
    table = np.array(recipe)
    return Scores(table, 2 * table, 3 * table, np.ones_like(table))


def test_searches_by_class_names_are_repeated_without_every_video_of_the_sentence() -> None:
    scores, bank = build_scores([[3.0, 9.0, 1.0, 7.0]]), build_scores([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]])
    here, gone = build_trials(scores, bank, [frozenset({1, 3})], np.array([1])).searches
    assert here.scores.recipe.tolist() == [9, 7, 3, 1]
    assert here.bank.recipe.tolist() == [[1, 3, 0, 2], [5, 7, 4, 6]]  # in the same order
    assert (gone.scores.recipe.tolist(), gone.scores.share.tolist()) == ([3, 1], [9, 3])


@pytest.mark.slow
def test_evidence_is_learned_on_every_other_video_and_judged_on_the_rest() -> None:
    generator, count = np.random.default_rng(0), 40
    recipe = generator.normal(size=(count, count))
    recipe[np.arange(count), np.arange(count)] += np.where(np.arange(count) % 2, -20, 20)  # only even videos are found
    bank = build_scores(generator.normal(size=(19, count)).tolist())
    own = [frozenset({number}) for number in range(count)]
    trials = build_trials(build_scores(recipe.tolist()), bank, own, np.arange(count))
    tried = {row["inputs"][0]: row for row in try_evidence(trials)}
    assert set(tried) == {*EVIDENCE, "all of these"}
    assert tried["score of the best video"]["auc_validation"] == 1
    assert tried["score of the best video"]["auc"][0] == 0.5  # another video is first, with or without the own one

"""Presence: learned on validation and judged elsewhere, by queries asked where they are true and where they are not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.moments import Moment
from corpus.records import Corpus, Query, load_corpus
from evaluation.examiner import EvaluationInputs
from evaluation.predictions import encode_text, load_models
from evaluation.presence import (
    LOCALIZE,
    SEARCH,
    Trials,
    collect_trials,
    fit_monotone,
    judge_calibrations,
    learn_calibration,
    learn_calibrations,
)
from evaluation.questions import prepare_questions
from evaluation.searching import list_videos_without, open_split, search_split
from search.calibration import Calibration, Calibrations, load_calibrations, squash
from search.params import SearchParams

Factory = Callable[..., Any]


def draw_trials(*, seed: int, gap: float = 1.0) -> Trials:
    generator = np.random.default_rng(seed)
    present = np.arange(400) % 2 == 0
    scores, clip_scores = generator.normal(gap * present), generator.normal(2 * present)
    return Trials(scores, clip_scores, np.zeros(400), present)


def test_confidence_is_learned_from_both_inputs_and_holds_on_other_trials() -> None:
    trials, others = draw_trials(seed=0), draw_trials(seed=1)
    learned = learn_calibrations({SEARCH: trials, LOCALIZE: trials}, hit_rate=0.9, split="val")
    assert learned.missing == {}
    result = judge_calibrations(learned, {SEARCH: others, LOCALIZE: others})[SEARCH]
    assert result.curve.area > 0.9
    assert result.hit_rate == pytest.approx(0.9, abs=0.05)
    assert result.false_alarm_rate < 0.4
    assert result.summarise()["calibration_error"] < 0.06
    assert result.summarise()["answers"] == 400


def test_the_threshold_finds_the_wanted_share() -> None:
    trials = draw_trials(seed=0)
    for hit_rate in (0.5, 0.9, 1.0):
        calibration = learn_calibration(trials, hit_rate=hit_rate)
        assert not isinstance(calibration, str)
        confidences = calibration.scaling.apply(trials.scores, trials.clip_scores, trials.standings)
        assert (confidences[trials.present] >= calibration.threshold).mean() == pytest.approx(hit_rate, abs=0.006)


def test_reversed_scores_give_no_calibration() -> None:
    learned = learn_calibrations(
        {SEARCH: draw_trials(seed=0, gap=-1.0), LOCALIZE: draw_trials(seed=0)}, hit_rate=0.9, split="val"
    )
    assert learned.search is None
    assert learned.localize is not None
    assert learned.missing == {
        "search": "the split 'val' has scores that are no higher where the query is true than where it is not"
    }


def test_the_area_on_the_trials_is_kept_beside_the_calibration() -> None:
    trials = draw_trials(seed=0)
    calibration = learn_calibration(trials, hit_rate=0.9)
    assert isinstance(calibration, Calibration)
    confidences = calibration.scaling.apply(trials.scores, trials.clip_scores, trials.standings)
    slow = np.mean([[(a > b) + (a == b) / 2 for b in confidences[~trials.present]] for a in confidences[trials.present]])
    assert calibration.auc == pytest.approx(slow)


def test_evidence_that_would_count_against_presence_is_left_out() -> None:
    generator, present = np.random.default_rng(0), np.arange(400) % 2 == 0
    good, bad = generator.normal(2.0 * present), generator.normal(-1.0 * present)
    slopes = fit_monotone(np.column_stack([good, bad, np.zeros(400)]), present)
    assert slopes[0] > 0
    assert slopes[1:3] == [0.0, 0.0]
    alone = fit_monotone(good[:, None], present)
    assert [slopes[0], slopes[3]] == pytest.approx(alone)


def test_confidences_without_labels_are_judged_on_the_same_queries() -> None:
    trials = draw_trials(seed=0)
    unlabelled = trials._replace(unlabelled=squash(trials.scores))
    learned = learn_calibrations({SEARCH: trials, LOCALIZE: trials}, hit_rate=0.9, split="val")
    judged = judge_calibrations(learned, {SEARCH: unlabelled, LOCALIZE: trials})
    assert set(judged) == {"search", "localize", "search_unlabelled"}
    assert judged["search_unlabelled"].threshold == 0.5
    assert judged["search_unlabelled"].curve.area < judged["search"].curve.area


def test_without_trials_the_reason_is_kept() -> None:
    learned = learn_calibrations({}, hit_rate=0.9, split="val")
    assert learned.missing == {"search": "the split 'val' has no queries", "localize": "the split 'val' has no queries"}
    assert judge_calibrations(learned, {SEARCH: draw_trials(seed=0), LOCALIZE: draw_trials(seed=0)}) == {}


def test_a_query_is_asked_where_it_is_true_and_where_it_is_not(world: EvaluationInputs, search: SearchParams) -> None:
    models = load_models(encoder_dir=world.encoder_dir, features_dir=world.features_dir, checkpoints_dir=world.checkpoints_dir)
    questions = prepare_questions(load_corpus(world.corpus_dir), "test")
    opened = open_split(models, questions, encode_text(models, questions))
    searched = search_split(models.localizer, opened, search, top_k=5)
    trials = collect_trials(models, opened, searched, seed=0)
    for way in (SEARCH, LOCALIZE):
        assert trials[way].present.sum() == (~trials[way].present).sum() == len(questions)
    present = [trial.evidence for trial in searched.present if trial]
    assert [one.score for one in present] == [answers[0].score for answers in searched.answers]
    again = collect_trials(models, opened, searched, seed=0)[LOCALIZE]
    np.testing.assert_array_equal(trials[LOCALIZE].scores, again.scores)


def test_videos_where_a_query_is_true_elsewhere_are_left_out_too(make_corpus: Factory) -> None:
    corpus = make_corpus({"test": 4})
    moments = {"test-2": (Moment(0.0, 1.0),)}
    queries = (Query("q", "test-0", "a circle", (Moment(0.0, 1.0),), "test", elsewhere=moments),)
    assert list_videos_without(prepare_questions(Corpus(corpus.videos, queries), "test")) == [["test-1", "test-3"]]


def test_the_report_keeps_what_was_learned_and_how_it_holds(report_dir: Path) -> None:
    learned = load_calibrations(report_dir / "calibration.json")
    judged = json.loads((report_dir / "summary.json").read_text())["test"]["presence"]
    known = {"search": learned.search, "localize": learned.localize}
    assert (
        set(judged) == {way for way, calibration in known.items() if calibration} == {"search", "localize"} - set(learned.missing)
    )  # the vocabulary knows too few sentences of the bank for a confidence without labels
    for way, figures in judged.items():
        assert 0 <= figures["auc"] <= 1
        assert figures["threshold"] == known[way].threshold  # type: ignore[union-attr]
        assert figures["answers"] == 32
    page = (report_dir / "index.html").read_text()
    assert ("Does the moment exist?" in page) == bool(judged)
    assert (report_dir / "roc.svg").is_file() == (report_dir / "confidence.svg").is_file() == bool(judged)


def test_a_corpus_without_validation_queries_says_so(
    tmp_path: Path, make_corpus: Factory, make_world: Factory, run_evaluation: Factory
) -> None:
    corpus = make_corpus({"train": 2, "val": 1, "test": 2})
    inputs = make_world(tmp_path, Corpus(corpus.videos, tuple(query for query in corpus.queries if query.split != "val")))
    metrics = run_evaluation(inputs, tmp_path / "report")
    assert metrics["test"]["presence"] == {}
    learned = load_calibrations(tmp_path / "report" / "calibration.json")
    assert learned == Calibrations(
        search=None, localize=None, missing=dict.fromkeys(["search", "localize"], "the split 'val' has no queries")
    )
    assert "Does the moment exist?" not in (tmp_path / "report" / "index.html").read_text()


def test_a_missing_or_foreign_calibration_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"calibration.json does not exist, .* run: dvc repro evaluate"):
        load_calibrations(tmp_path / "calibration.json")
    (tmp_path / "calibration.json").write_text('{"search": null}')
    with pytest.raises(ValueError, match=r"calibration.json: Field required; run: dvc repro --force evaluate"):
        load_calibrations(tmp_path / "calibration.json")

"""What evidence means is learned on validation and judged elsewhere, by queries asked where they are true and where not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.moments import Moment
from corpus.records import Corpus, Query, load_corpus
from serving.calibration import Calibrations, load_calibrations
from serving.search import SearchSettings
from stages.evaluate import EvaluationInputs
from stages.support.evaluation.predictions import encode_text, load_models
from stages.support.evaluation.presence import (
    LOCALIZE,
    SEARCH,
    Trials,
    collect_trials,
    judge_calibrations,
    learn_calibration,
    learn_calibrations,
)
from stages.support.evaluation.questions import prepare_questions
from stages.support.evaluation.searching import list_videos_without, open_split, search_split
from stages.support.params import SearchParams

Factory = Callable[..., Any]


def draw_trials(*, seed: int, gap: float = 1.0) -> Trials:
    generator = np.random.default_rng(seed)
    present = np.arange(400) % 2 == 0
    return Trials(generator.normal(gap * present), generator.normal(2 * present), present)


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


def test_the_threshold_finds_the_share_that_is_asked_for() -> None:
    trials = draw_trials(seed=0)
    for hit_rate in (0.5, 0.9, 1.0):
        calibration = learn_calibration(trials, hit_rate=hit_rate)
        assert not isinstance(calibration, str)
        confidences = calibration.scaling.apply(trials.scores, trials.clip_scores)
        assert (confidences[trials.present] >= calibration.threshold).mean() == pytest.approx(hit_rate, abs=0.006)


def test_scores_that_say_the_opposite_give_no_calibration() -> None:
    learned = learn_calibrations(
        {SEARCH: draw_trials(seed=0, gap=-1.0), LOCALIZE: draw_trials(seed=0)}, hit_rate=0.9, split="val"
    )
    assert learned.search is None
    assert learned.localize is not None
    assert learned.missing == {
        "search": "the split 'val' has scores that are no higher where the query is true than where it is not"
    }


def test_without_trials_the_reason_is_kept() -> None:
    learned = learn_calibrations({}, hit_rate=0.9, split="val")
    assert learned.missing == {"search": "the split 'val' has no queries", "localize": "the split 'val' has no queries"}
    assert judge_calibrations(learned, {SEARCH: draw_trials(seed=0), LOCALIZE: draw_trials(seed=0)}) == {}


def test_a_query_is_asked_where_it_is_true_and_where_it_is_not(world: EvaluationInputs, search: SearchParams) -> None:
    models = load_models(encoder_dir=world.encoder_dir, features_dir=world.features_dir, checkpoints_dir=world.checkpoints_dir)
    questions = prepare_questions(load_corpus(world.corpus_dir), "test")
    opened = open_split(models, questions, encode_text(models, questions))
    searched = search_split(models.localizer, opened, SearchSettings.model_validate(search.model_dump()), top_k=5)
    trials = collect_trials(models, opened, searched, seed=0)
    for way in (SEARCH, LOCALIZE):
        assert trials[way].present.sum() == (~trials[way].present).sum() == len(questions)
    present = [evidence for evidence in searched.present if evidence]
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
    )
    for way, figures in judged.items():
        assert 0 <= figures["auc"] <= 1
        assert figures["threshold"] == known[way].threshold  # type: ignore[union-attr]
        assert figures["answers"] == 32
    page = (report_dir / "index.html").read_text()
    assert ("Is it there at all?" in page) == bool(judged)
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
    assert "Is it there at all?" not in (tmp_path / "report" / "index.html").read_text()


def test_a_missing_or_foreign_calibration_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"calibration.json does not exist: .* run: dvc repro evaluate"):
        load_calibrations(tmp_path / "calibration.json")
    (tmp_path / "calibration.json").write_text('{"search": null}')
    with pytest.raises(ValueError, match=r"calibration.json: Field required; run: dvc repro --force evaluate"):
        load_calibrations(tmp_path / "calibration.json")

"""Evaluation of trained models on the splits of a corpus: localizer, floors, collection search, calibration and report."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import write_json
from corpus.moments import Floats, Ints
from corpus.records import TRAIN, VALIDATION, Corpus, load_corpus
from evaluation.calibration import FirstAnswers, collect_first_answers, compare_scores, summarise_reliability
from evaluation.predictions import (
    TrainedModels,
    build_blind_windows,
    encode_text,
    load_models,
    open_windows,
    predict_moments,
    rank_moments,
    swap_videos,
)
from evaluation.presence import collect_trials, judge_calibrations, learn_calibrations, summarise_presence
from evaluation.questions import Questions, prepare_questions
from evaluation.report.report import SplitResult, write_report
from evaluation.searching import open_split, search_split
from evaluation.tables.collection_table import score_collection
from evaluation.tables.qvhighlights_table import score_qvhighlights, summarise_qvhighlights
from evaluation.tables.scores import LOCALIZER, Scoring, condense, score_rows, summarise
from evaluation.wording import collect_combinations
from models.contracts.batches import TextFeatures
from models.contracts.windows import WindowedVideos
from models.metrics.collection import RANKS
from models.metrics.convention import IoURule
from models.metrics.floors import (
    build_constant_answers,
    build_unit_cells,
    build_whole_video_answers,
    normalise_truth,
    rank_frequent_cells,
)
from models.metrics.spans import RankedSpans
from models.metrics.tan2d import Tan2dConvention
from search.calibration import Calibrations
from search.params import SearchParams

IOU_RULE = IoURule.ABOVE  # of the 2D-TAN convention
ANSWERS_KEPT = 10
_UNLEARNED = "the training split has no queries"  # so the floor has no figures


class EvaluationPlan(NamedTuple):
    """Choices of an evaluation: the split, the search, the hit rate of the "found" threshold, and the bootstrap."""

    search: SearchParams
    split: str
    hit_rate: float  # share of the validation sentences with an answer that the threshold finds
    bootstrap_samples: int
    seed: int


class EvaluationInputs(NamedTuple):
    """Input folders of an evaluation."""

    corpus_dir: Path
    encoder_dir: Path
    features_dir: Path
    checkpoints_dir: Path


@dataclass(frozen=True)
class Examiner:
    """Scores splits with trained models, a convention, search settings, and the prior of the training split."""

    models: TrainedModels
    scoring: Scoring
    settings: SearchParams
    prior: Floats | None  # (K, 2) the most frequent moments of training, as fractions of the duration

    def score(self, questions: Questions, *, with_collection: bool) -> SplitResult:
        """Score the localizer, its floors and, if `with_collection` is set, the search over the whole split."""
        text, videos = encode_text(self.models, questions), open_windows(self.models, questions)
        answers = {LOCALIZER: self._localize(questions, text, videos)} | self._answer_floors(questions, text, videos)
        rows = score_rows(answers, questions, self.scoring)
        others = score_qvhighlights(rows, questions, self.scoring)
        summary = summarise(rows, questions, self.scoring)
        summary["qvhighlights"] = summarise_qvhighlights(others, questions, self.scoring)
        result = SplitResult(questions, rows, others, summary)
        if not with_collection:
            return result
        opened = open_split(self.models, questions, text)
        searched = search_split(self.models.localizer, opened, self.settings, top_k=max(RANKS))
        collection = score_collection(
            searched.answers, questions, self.scoring, moments_per_video=self.settings.moments_per_video
        )
        return replace(
            result,
            summary=summary | {"collection": collection.summary},
            collection=collection,
            found=searched.answers,
            trials=collect_trials(self.models, opened, searched, seed=self.scoring.seed),
        )

    def localize_rows(self, questions: Questions, rows: Ints) -> RankedSpans:
        """Return all scored candidates of the chosen queries, before any suppression."""
        chosen, videos = questions.take(rows), open_windows(self.models, questions)
        return predict_moments(self.models.localizer, chosen, encode_text(self.models, chosen), videos)

    def _localize(self, questions: Questions, text: TextFeatures, videos: WindowedVideos) -> RankedSpans:
        return rank_moments(self.models.localizer, questions, text, videos, self.scoring.convention)

    def _answer_floors(self, questions: Questions, text: TextFeatures, videos: WindowedVideos) -> dict[str, RankedSpans | str]:
        nothing = build_blind_windows(self.models.blind, questions)
        floors: dict[str, RankedSpans | str] = {
            "prior": _UNLEARNED,
            "whole_video": build_whole_video_answers(questions.durations_s),
            "blind": _UNLEARNED,
            "shuffled": f"needs queries about at least two videos, the split has {questions.num_asked_videos}",
        }
        if self.prior is not None:
            floors["prior"] = build_constant_answers(self.prior, questions.durations_s)
            floors["blind"] = rank_moments(self.models.blind, questions, text, nothing, self.scoring.convention)
        if questions.num_asked_videos > 1:
            swapped = swap_videos(questions, videos, seed=self.scoring.seed)
            floors["shuffled"] = self._localize(questions, text, swapped)
        return floors


@dataclass(frozen=True)
class Evaluation:
    """Outcome of an evaluation: a summary of every split, and the full result of the chosen one for its report."""

    summary: Mapping[str, Any]  # one group per split
    shown: SplitResult
    calibrations: Calibrations
    examiner: Examiner

    def write(self, output_dir: Path, *, raw_dir: Path) -> None:
        """Write the report of the chosen split, `calibration.json`, `summary.json` and `metrics.json`."""
        localize = partial(self.examiner.localize_rows, self.shown.questions)
        write_report(self.shown, self.examiner.scoring, localize, raw_dir=raw_dir, output_dir=output_dir)
        write_json(output_dir / "calibration.json", self.calibrations.model_dump(mode="json"))
        write_json(output_dir / "summary.json", self.summary)
        write_json(output_dir / "metrics.json", {split: condense(group) for split, group in self.summary.items()})


def evaluate(plan: EvaluationPlan, inputs: EvaluationInputs) -> Evaluation:
    """Score the chosen split, the validation split and further test splits.

    Raises:
        ValueError: when the chosen split has no queries, or artefacts do not belong together.
    """
    corpus = load_corpus(inputs.corpus_dir)
    require_queries(corpus, plan.split)
    models = load_models(encoder_dir=inputs.encoder_dir, features_dir=inputs.features_dir, checkpoints_dir=inputs.checkpoints_dir)
    examiner = build_examiner(plan, models=models, corpus=corpus)
    summary: dict[str, Any] = {}
    results: dict[str, SplitResult] = {}
    for split in list_splits(corpus, plan.split):
        questions = prepare_questions(corpus, split)
        if not len(questions):
            summary[split] = {"queries": 0, "videos": len(questions.videos)}
            continue
        results[split] = examiner.score(questions, with_collection=split in (plan.split, VALIDATION))
        summary[split] = results[split].summary
    validation = results.get(VALIDATION)
    calibrations = learn_calibrations({} if validation is None else validation.trials, hit_rate=plan.hit_rate, split=VALIDATION)
    shown = add_presence(add_reliability(results[plan.split], validation), calibrations)
    return Evaluation({**summary, plan.split: shown.summary}, shown, calibrations, examiner)


def require_queries(corpus: Corpus, split: str) -> None:
    """Refuse a split without queries.

    Raises:
        ValueError: naming the splits that have queries.
    """
    known = [name for name in corpus.splits if corpus.of_split(name).queries]
    if split not in known:
        raise ValueError(
            f"evaluate.split = {split!r}: that split has no queries; splits with queries: {', '.join(known) or 'none'}"
        )


def add_reliability(shown: SplitResult, validation: SplitResult | None) -> SplitResult:
    """Add the reliability of a split's scores. They are scaled on validation, never on the split itself."""

    def collect(result: SplitResult) -> FirstAnswers:
        answers = result.rows[LOCALIZER].answers
        assert answers is not None
        return collect_first_answers(answers, result.questions)

    held_out = None if validation is None or validation is shown else collect(validation)
    reliability = compare_scores(collect(shown), held_out)
    return replace(
        shown, summary=shown.summary | {"calibration_error": summarise_reliability(reliability)}, reliability=reliability
    )


def add_presence(shown: SplitResult, calibrations: Calibrations) -> SplitResult:
    """Add how well confidences that were learned on validation separate present from absent moments.

    If the split is validation itself, the figures are measured on the trials that the confidences were learned from.
    """
    presence = judge_calibrations(calibrations, shown.trials)
    return replace(shown, summary=shown.summary | {"presence": summarise_presence(presence)}, presence=presence)


def build_examiner(plan: EvaluationPlan, *, models: TrainedModels, corpus: Corpus) -> Examiner:
    """Choose the convention and learn the prior from the training split."""
    training = prepare_questions(corpus, TRAIN)
    scoring = build_scoring(plan, num_cells=models.localizer.num_cells, training=training)
    prior = rank_prior(training, scoring) if len(training) else None
    return Examiner(models, scoring, plan.search, prior)


def build_scoring(plan: EvaluationPlan, *, num_cells: int, training: Questions) -> Scoring:
    """Choose the convention; chance draws from the spans of `num_cells` cells."""
    convention = Tan2dConvention(iou_rule=IOU_RULE, max_iou=plan.search.max_iou, max_kept=ANSWERS_KEPT)
    seen = collect_combinations(training.queries)
    return Scoring(convention, build_unit_cells(num_cells), plan.bootstrap_samples, plan.seed, seen)


def rank_prior(training: Questions, scoring: Scoring) -> Floats:
    """Return the most frequent moments of training as fractions of the duration, best first: (K, 2)."""
    unit_truth, convention = normalise_truth(training.truth, training.durations_s), scoring.convention
    return rank_frequent_cells(unit_truth, scoring.unit_cells, max_iou=convention.max_iou, max_kept=convention.max_kept)


def list_splits(corpus: Corpus, chosen: str) -> list[str]:
    """Return the splits to score: the chosen one, validation, and every further test split (`test_...`) of the corpus."""
    further = [split for split in corpus.splits if split.startswith("test_")]
    return list(dict.fromkeys([chosen, VALIDATION, *further]))

"""DVC stage `evaluate`: data/corpus/, data/features/, data/encoder/, data/checkpoints/ -> data/reports/evaluation/.

With arguments it scores prediction files or compares two runs: python -m stages.evaluate --help.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from corpus.files import write_json
from corpus.moments import Floats, Ints
from corpus.records import TRAIN, VALIDATION, Corpus, load_corpus
from models.exchange.batches import TextFeatures
from models.exchange.windows import WindowedVideos
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
from serving.calibration import Calibrations
from serving.search import SearchSettings
from stages.support import paths
from stages.support.entry import run_main, run_stage
from stages.support.evaluation.collection_table import score_collection
from stages.support.evaluation.predictions import (
    TrainedModels,
    build_blind_windows,
    encode_text,
    load_models,
    open_windows,
    predict_moments,
    rank_moments,
    swap_videos,
)
from stages.support.evaluation.presence import (
    collect_trials,
    judge_calibrations,
    learn_calibrations,
    summarise_presence,
)
from stages.support.evaluation.questions import Questions, prepare_questions
from stages.support.evaluation.qvhighlights_table import score_qvhighlights, summarise_qvhighlights
from stages.support.evaluation.reliability import (
    FirstAnswers,
    collect_first_answers,
    compare_scores,
    summarise_reliability,
)
from stages.support.evaluation.report import SplitResult, write_report
from stages.support.evaluation.searching import open_split, search_split
from stages.support.evaluation.tables import HEADLINE, LOCALIZER, Scoring, condense, score_rows, summarise
from stages.support.evaluation.tracked import read_run_ids, track_evaluation
from stages.support.evaluation.wording import collect_combinations
from stages.support.lineage import collect_lineage
from stages.support.machine import count_workers
from stages.support.params import EvaluateParams, SearchParams, load_params
from stages.support.scoring import command

IOU_RULE = IoURule.ABOVE  # of the 2D-TAN convention
ANSWERS_KEPT = 10


class EvaluationInputs(NamedTuple):
    """The folders that are read. `raw_dir` holds the videos that the pictures are taken from."""

    raw_dir: Path
    corpus_dir: Path
    encoder_dir: Path
    features_dir: Path
    checkpoints_dir: Path


@dataclass(frozen=True)
class Examiner:
    """Scores splits: trained models, a way of scoring, a way of searching, and what training alone would answer."""

    models: TrainedModels
    scoring: Scoring
    settings: SearchSettings
    prior: Floats | None  # (K, 2) the most frequent moments of training, as fractions of the duration

    def score(self, questions: Questions, *, with_collection: bool) -> SplitResult:
        """Score the localizer, its floors and, if asked for, the search over the whole split."""
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
        """Return all candidates of the chosen queries as the localizer scores them, before any suppression."""
        chosen, videos = questions.take(rows), open_windows(self.models, questions)
        return predict_moments(self.models.localizer, chosen, encode_text(self.models, chosen), videos)

    def _localize(self, questions: Questions, text: TextFeatures, videos: WindowedVideos) -> RankedSpans:
        return rank_moments(self.models.localizer, questions, text, videos, self.scoring.convention)

    def _answer_floors(self, questions: Questions, text: TextFeatures, videos: WindowedVideos) -> dict[str, RankedSpans | str]:
        nothing = build_blind_windows(self.models.blind, self.models.store, questions)
        floors: dict[str, RankedSpans | str] = {
            "prior": "the training split has no queries",
            "whole_video": build_whole_video_answers(questions.durations_s),
            "blind": rank_moments(self.models.blind, questions, text, nothing, self.scoring.convention),
            "shuffled": f"needs queries about at least two videos, the split has {questions.num_asked_videos}",
        }
        if self.prior is not None:
            floors["prior"] = build_constant_answers(self.prior, questions.durations_s)
        if questions.num_asked_videos > 1:
            swapped = swap_videos(questions, videos, seed=self.scoring.seed)
            floors["shuffled"] = self._localize(questions, text, swapped)
        return floors


def main() -> None:
    """Score the checkpoints of the working tree."""
    params = load_params()
    torch.set_num_threads(count_workers())
    inputs = EvaluationInputs(
        raw_dir=paths.RAW / params.corpus.name,
        corpus_dir=paths.CORPUS,
        encoder_dir=paths.ENCODER,
        features_dir=paths.FEATURES,
        checkpoints_dir=paths.CHECKPOINTS,
    )
    summary = evaluate(params.evaluate, params.search, inputs=inputs, output_dir=paths.REPORTS / "evaluation")
    track_evaluation(
        paths.REPORTS / "evaluation",
        cache_dir=paths.find_cache_dir(),
        params={"evaluate": params.evaluate.model_dump(mode="json"), "search": params.search.model_dump(mode="json")},
        tags={"role": "evaluation"} | read_run_ids(paths.CHECKPOINTS) | collect_lineage([paths.CORPUS, paths.FEATURES]),
    )
    for split, group in summary.items():
        print(describe_group(split, group))


def evaluate(params: EvaluateParams, search: SearchParams, *, inputs: EvaluationInputs, output_dir: Path) -> dict[str, Any]:
    """Score the chosen split, the validation split and further test splits; write the report of the chosen one.

    Returns the content of `summary.json`: one group a split.

    Raises:
        ValueError: when the chosen split has no queries, or artefacts were not made from one another.
    """
    corpus = load_corpus(inputs.corpus_dir)
    require_queries(corpus, params.split)
    models = load_models(encoder_dir=inputs.encoder_dir, features_dir=inputs.features_dir, checkpoints_dir=inputs.checkpoints_dir)
    examiner = build_examiner(params, search, models=models, corpus=corpus)
    summary: dict[str, Any] = {}
    results: dict[str, SplitResult] = {}
    for split in list_splits(corpus, params.split):
        questions = prepare_questions(corpus, split)
        if not len(questions):
            summary[split] = {"queries": 0, "videos": len(questions.videos)}
            continue
        results[split] = examiner.score(questions, with_collection=split in (params.split, VALIDATION))
        summary[split] = results[split].summary
    validation = results.get(VALIDATION)
    calibrations = learn_calibrations({} if validation is None else validation.trials, hit_rate=params.hit_rate, split=VALIDATION)
    shown = add_presence(add_reliability(results[params.split], validation), calibrations)
    summary[params.split] = shown.summary
    localize = partial(examiner.localize_rows, shown.questions)
    write_report(shown, examiner.scoring, localize, raw_dir=inputs.raw_dir, output_dir=output_dir)
    write_json(output_dir / "calibration.json", calibrations.model_dump(mode="json"))
    write_json(output_dir / "summary.json", summary)
    write_json(output_dir / "metrics.json", {split: condense(group) for split, group in summary.items()})
    return summary


def require_queries(corpus: Corpus, split: str) -> None:
    """Refuse a split without queries.

    Raises:
        ValueError: naming the splits that have some.
    """
    known = [name for name in corpus.splits if corpus.of_split(name).queries]
    if split not in known:
        raise ValueError(
            f"evaluate.split = {split!r}: that split has no queries; splits with queries: {', '.join(known) or 'none'}"
        )


def add_reliability(shown: SplitResult, validation: SplitResult | None) -> SplitResult:
    """Add how far the scores of a split can be trusted; they are scaled on validation, never on the split itself."""

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
    """Add how well confidences learned on validation tell what is there from what is not.

    Where validation itself is shown, the figures are of what they were learned on.
    """
    presence = judge_calibrations(calibrations, shown.trials)
    return replace(shown, summary=shown.summary | {"presence": summarise_presence(presence)}, presence=presence)


def build_examiner(params: EvaluateParams, search: SearchParams, *, models: TrainedModels, corpus: Corpus) -> Examiner:
    """Choose the convention and learn the prior from the training split."""
    training = prepare_questions(corpus, TRAIN)
    scoring = build_scoring(params, search, num_cells=models.localizer.num_cells, training=training)
    prior = rank_prior(training, scoring) if len(training) else None
    return Examiner(models, scoring, SearchSettings.model_validate(search.model_dump()), prior)


def build_scoring(params: EvaluateParams, search: SearchParams, *, num_cells: int, training: Questions) -> Scoring:
    """Choose the convention; chance draws from the spans of `num_cells` cells."""
    convention = Tan2dConvention(iou_rule=IOU_RULE, max_iou=search.max_iou, max_kept=ANSWERS_KEPT)
    seen = collect_combinations(training.queries)
    return Scoring(convention, build_unit_cells(num_cells), params.bootstrap_samples, params.seed, seen)


def rank_prior(training: Questions, scoring: Scoring) -> Floats:
    """Return the most frequent moments of training as fractions of the duration, best first: (K, 2)."""
    unit_truth, convention = normalise_truth(training.truth, training.durations_s), scoring.convention
    return rank_frequent_cells(unit_truth, scoring.unit_cells, max_iou=convention.max_iou, max_kept=convention.max_kept)


def list_splits(corpus: Corpus, chosen: str) -> list[str]:
    """Return the splits to score: the chosen one, validation, and every further test split (`test_...`) of the corpus."""
    further = [split for split in corpus.splits if split.startswith("test_")]
    return list(dict.fromkeys([chosen, VALIDATION, *further]))


def describe_group(split: str, group: Mapping[str, Any]) -> str:
    """Say in one line how good the localizer is on a split."""
    if not group["queries"]:
        return f"{split}: no queries"
    ours, floor = group[LOCALIZER], group["floors"][group["best_floor"]]
    low, high = ours[f"{HEADLINE}_low"], ours[f"{HEADLINE}_high"]
    interval = "one video, no interval" if low is None else f"{100 * low:.1f} to {100 * high:.1f}"
    parts = [
        f"R@1 at IoU 0.5 {100 * ours[HEADLINE]:.1f} % ({interval})",
        f"best floor {group['best_floor']} {100 * floor[HEADLINE]:.1f} %",
    ]
    if "collection" in group:
        parts.append(f"collection R@10 {100 * group['collection']['R10']:.1f} %")
    return f"{split}: {', '.join(parts)}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_main(partial(command.main, sys.argv[1:]), name="evaluate")
    else:
        run_stage(main, name="evaluate")

"""Answers of two bundles to frozen queries by the predictor that serves."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from corpus.records import Corpus, load_corpus
from corpus.schema_files import load_yaml, validate
from evaluation.gate.answering import Contender, answer, freeze, score_localized
from evaluation.gate.decision import decide
from evaluation.gate.evidence import Evidence
from evaluation.gate.params import GateParams
from search.answers import FoundMoment

if TYPE_CHECKING:
    from small_project import SmallProject

PATH = Path(__file__).resolve().parents[3] / "presets" / "gate" / "default.yaml"
PARAMS: GateParams = validate(GateParams, load_yaml(PATH), source=PATH)
RULES = PARAMS.model_copy(update={"split": "test", "guards": PARAMS.guards[:3], "min_videos": 2, "samples": 200})


def name_contender(name: str, project: "SmallProject") -> Contender:
    return Contender(name, project.bundle, project.index, 1000)


def test_the_same_bundle_twice_is_a_tie_that_keeps_the_champion(small_project: Any) -> None:
    questions, queries = freeze(load_corpus(small_project.corpus), RULES)
    sides = answer(
        [name_contender("challenger", small_project), name_contender("champion", small_project)],
        questions,
        queries,
        media_dir=small_project.raw,
    )
    for name in ("R1_iou0.5", "mIoU"):
        np.testing.assert_array_equal(sides[0].figures[name], sides[1].figures[name])
    assert set(sides[0].searched) == {"R1", "R10"}
    assert sides[0].latency_ms
    rules = RULES.model_copy(update={"budgets": RULES.budgets.model_copy(update={"max_latency_ratio": 1000.0})})
    decision = decide(Evidence(queries, *sides, True, "sealed"), rules)
    assert [check.rule for check in decision.checks if not check.passed] == ["gain"]


def test_a_video_that_the_index_has_with_other_bytes_is_encoded_from_its_file(small_project: Any) -> None:
    corpus = load_corpus(small_project.corpus)
    changed = Corpus(tuple(replace(video, sha256="0" * 64) for video in corpus.videos), corpus.queries)
    both = []
    for known in (corpus, changed):
        questions, queries = freeze(known, RULES)
        both += answer([name_contender("challenger", small_project)], questions, queries, media_dir=small_project.raw)
    for name, values in both[0].figures.items():
        np.testing.assert_allclose(values, both[1].figures[name], atol=1e-3)


def test_a_changed_truth_or_video_changes_the_digest_of_the_queries(small_project: Any) -> None:
    corpus = load_corpus(small_project.corpus)
    _, queries = freeze(corpus, RULES)
    later = replace(corpus.queries[-1], text="another sentence")
    _, other = freeze(Corpus(corpus.videos, (*corpus.queries[:-1], later)), RULES)
    _, again = freeze(Corpus(corpus.videos, corpus.queries[::-1]), RULES)
    assert queries.digest != other.digest
    assert queries.digest == again.digest


def test_a_corpus_without_queries_for_the_gate_is_refused_with_the_remedy(small_project: Any) -> None:
    with pytest.raises(ValueError, match=r"no queries in the split 'gate'.*set ingest.gate_share"):
        freeze(load_corpus(small_project.corpus), PARAMS)


def test_an_answer_that_is_not_a_number_has_no_figure(small_project: Any) -> None:
    questions, _ = freeze(load_corpus(small_project.corpus), RULES)
    good = FoundMoment("v2", 1.0, 3.0, 0.9, None)
    figures = score_localized([[good], [good._replace(score=float("nan"))]], questions)
    assert figures["mIoU"][0] == 1.0
    assert np.isnan(figures["mIoU"][1])

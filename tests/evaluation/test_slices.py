"""Slices of a table."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpus.records import Corpus
from evaluation.questions import prepare_questions
from evaluation.tables.slices import list_slices
from evaluation.wording import collect_combinations

Factory = Callable[..., Any]  # a fixture that makes things


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_slices_of_a_property_cover_every_query_once(report_dir: Path) -> None:
    groups: dict[str, int] = {}
    for row in read_csv(report_dir / "slices.csv"):
        groups[row["slice"]] = groups.get(row["slice"], 0) + int(row["queries"])
    assert groups == dict.fromkeys(["moment length", "position", "query length", "verb", "form"], 16)


def test_a_tag_with_too_many_values_makes_no_slices(make_corpus: Factory) -> None:
    corpus = make_corpus({"test": 8})
    tagged = tuple(replace(query, tags={"id": query.qid, "form": "x"}) for query in corpus.queries)
    groups = {one.group for one in list_slices(prepare_questions(Corpus(corpus.videos, tagged), "test"), frozenset())}
    assert groups == {"moment length", "position", "query length", "verb", "form"}


def test_slices_of_numbers_come_in_numeric_order(make_corpus: Factory) -> None:
    corpus = make_corpus({"test": 4})
    tagged = tuple(replace(query, tags={"actors": str(8 + number)}) for number, query in enumerate(corpus.queries[:4]))
    slices = list_slices(prepare_questions(Corpus(corpus.videos, tagged), "test"), frozenset())
    assert [one.value for one in slices if one.group == "actors"] == ["8", "9", "10", "11"]


def test_rare_verbs_are_one_slice(make_corpus: Factory) -> None:
    corpus = make_corpus({"test": 9})
    tagged = tuple(
        replace(query, tags={"verb": f"verb{number if number % 2 else 0}"}) for number, query in enumerate(corpus.queries)
    )
    assert len(tagged) == 32
    slices = list_slices(prepare_questions(Corpus(corpus.videos, tagged * 2), "test"), frozenset())
    verbs = {one.value: int(one.rows.sum()) for one in slices if one.group == "verb"}
    assert len(verbs) == 17
    assert verbs["verb0"] == 32
    many = tuple(replace(query, tags={"verb": f"verb{number}"}) for number, query in enumerate(tagged))
    verbs = {
        one.value: int(one.rows.sum())
        for one in list_slices(prepare_questions(Corpus(corpus.videos, many), "test"), frozenset())
        if one.group == "verb"
    }
    assert len(verbs) == 25
    assert verbs["other"] == 8


def test_combinations_that_training_lacks_are_a_slice(make_corpus: Factory) -> None:
    corpus = make_corpus({"test": 3})
    texts = ("a man opens the door", "a dog opens the door", "3 2 1", "a man closes the door")
    asked = tuple(replace(query, text=text, tags={}, source="human") for query, text in zip(corpus.queries, texts, strict=False))
    questions = prepare_questions(Corpus(corpus.videos, asked), "test")
    seen = collect_combinations([asked[0], asked[2]])
    slices = {one.value: one.rows.tolist() for one in list_slices(questions, seen) if one.group == "unseen combination"}
    assert slices == {"no": [True, False, False, False], "yes": [False, True, False, True]}
    assert not [one for one in list_slices(questions, frozenset()) if one.group == "unseen combination"]

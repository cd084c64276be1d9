"""Example sentences: different, from the test split if there is one, and spread over the corpus."""

from corpus.moments import Moment
from corpus.records import Corpus, Query
from pipeline.packaging.examples import NUM_EXAMPLES, choose_examples


def build_corpus(*texts: str, split: str = "test") -> Corpus:
    queries = [Query(f"q{number}", "v0", text, (Moment(0, 1),), split=split) for number, text in enumerate(texts)]
    return Corpus((), tuple(queries))


def test_equal_sentences_are_shown_once() -> None:
    assert choose_examples(build_corpus("a b", "a b", "c d")) == ["a b", "c d"]


def test_of_many_sentences_each_part_of_the_alphabet_gives_its_shortest() -> None:
    texts = [f"{letter} {'x' * length}" for letter in "abcdefghijkl" for length in (3, 1, 2)]
    assert choose_examples(build_corpus(*texts)) == [f"{letter} x" for letter in "abcdefghijkl"]
    assert NUM_EXAMPLES == 12


def test_sentences_of_the_test_split_go_first() -> None:
    tested, trained = build_corpus("seen in the test"), build_corpus("seen in the training", split="train")
    assert choose_examples(Corpus((), tested.queries + trained.queries)) == ["seen in the test"]
    assert choose_examples(trained) == ["seen in the training"]


def test_a_corpus_without_sentences_has_no_examples() -> None:
    assert choose_examples(Corpus((), ())) == []

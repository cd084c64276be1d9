"""Tokenization of sentences, the same in training and serving."""

from pathlib import Path

import pytest

from corpus.text import Vocabulary, replace_words, tokenize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The dog, it runs!", ["the", "dog", "it", "runs"]),
        ("a person's hand", ["a", "person's", "hand"]),
        ("Zwei Hünde – 3 mal", ["zwei", "hünde", "3", "mal"]),
        ("'quoted'", ["quoted"]),
    ],
)
def test_words_are_lower_case_without_punctuation(text: str, words: list[str]) -> None:
    assert tokenize(text) == words


@pytest.mark.parametrize("text", ["", "  ", "?!...", "\U0001f600"])
def test_a_sentence_without_words_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="has no words; write what happens in the video"):
        tokenize(text)


def test_words_are_ordered_by_frequency_then_alphabet() -> None:
    vocabulary = Vocabulary.from_texts(["a dog runs", "a cat runs", "a bird"])
    assert vocabulary.words == ("a", "runs", "bird", "cat", "dog")
    assert Vocabulary.from_texts(["a dog runs", "a cat runs"], min_count=2).words == ("a", "runs")


def test_ids_are_padded_to_the_longest_and_unknown_words_are_one() -> None:
    vocabulary = Vocabulary(("a", "dog", "runs"))
    assert vocabulary.encode(["A dog.", "a blue dog runs"]).tolist() == [[2, 3, 0, 0], [2, 1, 3, 4]]
    assert vocabulary.find_unknown("a blue dog") == ["blue"]
    assert len(vocabulary) == 5


def test_a_vocabulary_survives_saving_and_its_digest_knows_the_order(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("a", "dög"))
    vocabulary.save(tmp_path / "words.json")
    assert Vocabulary.load(tmp_path / "words.json") == vocabulary
    assert vocabulary.digest != Vocabulary(("dög", "a")).digest


def test_words_are_replaced_in_any_case_and_the_rest_stays() -> None:
    swap = {"left": "right", "right": "left"}
    assert replace_words("Left, then the leftmost goes RIGHT!", swap) == "right, then the leftmost goes left!"


def test_no_sentence_gives_no_rows() -> None:
    assert Vocabulary(("a",)).encode([]).shape == (0, 1)

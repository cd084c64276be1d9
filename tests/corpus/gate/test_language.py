"""Detection of script, broken characters and language of sentences."""

import pytest

from corpus.gate.language import UNKNOWN, count_broken_characters, find_script, guess_language
from corpus.text import tokenize


@pytest.mark.parametrize(
    ("text", "script", "share"),
    [
        ("a dog, 3 times", "LATIN", 1.0),
        ("ein Café", "LATIN", 1.0),
        ("Мужчина бежит", "CYRILLIC", 1.0),
        ("人が走る", "CJK", 1.0),
        ("abc где", "CYRILLIC", 0.5),
        ("12 ...", UNKNOWN, 1.0),
    ],
)
def test_the_script_of_most_letters_is_found(text: str, script: str, share: float) -> None:
    assert find_script(text) == (script, share)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("plain\n text\t", 0),
        ("naïve café, déjà vu – “quoted” … €5", 0),
        ("naÃ¯ve cafÃ©", 4),
        ("itâ€™s", 3),
        ("lost \ufffd here", 1),
        ("bell \x07", 1),
        ("Мужчина", 0),
    ],
)
def test_broken_characters_are_counted(text: str, number: int) -> None:
    assert count_broken_characters(text) == number


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("the red circle moves to the right", "en"),
        ("Ein Mann öffnet die Tür mit dem Schlüssel", "de"),
        ("El hombre abre la puerta y sale", "es"),
        ("Une femme ouvre la porte et sort avec les enfants", "fr"),
        ("De man loopt naar het huis", "nl"),
        ("dog runs fast", UNKNOWN),
        ("person opens the door", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_the_language_is_told_by_at_least_two_function_words(text: str, language: str) -> None:
    assert guess_language(tokenize(text) if text else []) == language

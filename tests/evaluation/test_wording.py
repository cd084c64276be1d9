"""Verbs and combinations of sentences."""

import pytest

from corpus.moments import Moment
from corpus.records import Query
from evaluation.wording import collect_combinations, find_combination, find_verb


def ask(text: str, *, source: str = "human", **tags: str) -> Query:
    return Query("q", "v", text, (Moment(0, 1),), tags=tags, source=source)


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("a person opens the door.", "open"),
        ("Person is closing a closet", "close"),
        ("he carried a box", "carry"),
        ("They are running and jumping", "run"),
        ("the man sat down, then stood up", "sit"),
        ("a person takes a drink", "take"),
        ("a woman tidies the room", "tidy"),
        ("3 2 1", ""),
    ],
)
def test_the_verb_is_the_main_one_of_the_sentence(text: str, verb: str) -> None:
    assert find_verb(ask(text)) == verb


def test_tags_take_precedence_over_the_found_verb() -> None:
    assert find_verb(ask("the circle opens", kind="spin")) == "spin"
    assert find_verb(ask("the circle opens", verb="turn", color="red")) == "turn"
    assert find_verb(ask("the circle opens", color="red")) == "open"


def test_a_combination_is_the_verb_with_its_neighbours() -> None:
    assert find_combination(ask("The man in the hat slowly opened a big door")) == ("slowly", "open", "big")
    assert find_combination(ask("a person is eating")) == ("", "eat", "")
    assert find_combination(ask("3 2 1")) == ()


def test_a_drawn_combination_is_colour_shape_and_kind() -> None:
    whole = ask("the red circle spins", source="drawn", color="red", shape="circle", kind="spins")
    assert find_combination(whole) == ("red", "circle", "spins")
    assert find_combination(ask("a circle spins", source="drawn", shape="circle", kind="spins")) == ()
    assert collect_combinations([whole, ask("3 2 1")]) == {("red", "circle", "spins")}

"""Truth of sentences, checked by hand on one scene."""

import pytest

from corpus.shapes.facts import list_facts
from corpus.shapes.scene import Actor, Background, Event, Kind, Scene
from corpus.shapes.wording.sentences import Clause, Description, Interval, Nth, Related, Sentence, Sequel, Simple, Together

RED_CIRCLE, BLUE_SQUARE, RED_STAR = Actor("red", "circle"), Actor("blue", "square"), Actor("red", "star")
SCENE = Scene(
    video_id="hand",
    split="train",
    fps=10,
    num_frames=300,
    actors=(RED_CIRCLE, BLUE_SQUARE, RED_STAR),
    events=(
        Event(Kind.MOVE_RIGHT, 0, 10, 40, shift=(0.3, 0.0)),
        Event(Kind.BLINK, 1, 50, 90),
        Event(Kind.BLINK, 2, 70, 100),
        Event(Kind.COLLIDE, 2, 120, 140, shift=(-0.3, 0.02), patient=1),
        Event(Kind.ENTER, 0, 150, 180, shift=(-0.5, 0.0)),
        Event(Kind.BLINK, 1, 200, 240),
    ),
    background=Background("plain", 0),
)
ANYONE = Description()


def find(sentence: Sentence) -> set[Interval]:
    return sentence.find(list_facts(SCENE), SCENE.fps)


def clause(kind: Kind, color: str | None = None, shape: str | None = None) -> Clause:
    return Clause(kind, Description(color, shape))


def test_a_simple_sentence_is_true_where_its_event_happens() -> None:
    assert find(Simple(clause(Kind.BLINK, "red", "star"))) == {(70, 100)}


def test_a_partial_description_is_true_of_everyone_it_fits() -> None:
    assert find(Simple(clause(Kind.BLINK))) == {(50, 90), (70, 100), (200, 240)}
    assert find(Simple(clause(Kind.BLINK, shape="square"))) == {(50, 90), (200, 240)}


def test_an_actor_that_enters_from_the_left_also_moves_right() -> None:
    assert find(Simple(clause(Kind.MOVE_RIGHT, "red", "circle"))) == {(10, 40), (150, 180)}


def test_an_actor_that_collides_to_the_left_moves_left_and_back_right() -> None:
    assert find(Simple(clause(Kind.MOVE_LEFT))) == {(120, 130)}
    assert find(Simple(clause(Kind.MOVE_RIGHT, shape="star"))) == {(130, 140)}
    assert find(Simple(clause(Kind.MOVE_DOWN))) == set()


def test_a_collision_has_an_object() -> None:
    assert find(Simple(Clause(Kind.COLLIDE, ANYONE, Description(shape="square")))) == {(120, 140)}
    assert find(Simple(Clause(Kind.COLLIDE, ANYONE, Description(shape="circle")))) == set()
    assert find(Simple(Clause(Kind.COLLIDE, Description(shape="square")))) == set()


@pytest.mark.parametrize(
    ("connective", "expected"), [("after", {(200, 240)}), ("before", {(50, 90), (70, 100)}), ("while", set())]
)
def test_a_relation_keeps_the_events_on_the_right_side(connective: str, expected: set[tuple[int, int]]) -> None:
    assert find(Related(clause(Kind.BLINK), connective, clause(Kind.COLLIDE))) == expected


def test_while_needs_another_event_during_half_of_the_first() -> None:
    assert find(Related(clause(Kind.BLINK), "while", clause(Kind.BLINK))) == {(50, 90), (70, 100)}
    assert find(Related(clause(Kind.MOVE_RIGHT), "while", clause(Kind.MOVE_RIGHT))) == set()


def test_ordinals_count_by_start() -> None:
    blinks = clause(Kind.BLINK)
    assert [find(Nth(blinks, number)) for number in (1, 2, 3, 4, -1)] == [
        {(50, 90)},
        {(70, 100)},
        {(200, 240)},
        set(),
        {(200, 240)},
    ]
    assert find(Nth(clause(Kind.SPIN), -1)) == set()


def test_a_sequel_spans_both_events_in_their_order() -> None:
    assert find(Sequel(clause(Kind.COLLIDE), clause(Kind.ENTER))) == {(120, 180)}
    assert find(Sequel(clause(Kind.ENTER), clause(Kind.COLLIDE))) == set()


def test_together_is_true_while_exactly_so_many_do_it() -> None:
    assert find(Together(clause(Kind.BLINK), 2)) == {(70, 90)}
    assert find(Together(clause(Kind.BLINK), 1)) == {(50, 70), (90, 100), (200, 240)}
    assert find(Together(clause(Kind.BLINK), 3)) == set()


def test_together_joins_neighbours_and_drops_intervals_below_a_second() -> None:
    events = (Event(Kind.SPIN, 0, 0, 30), Event(Kind.SPIN, 1, 5, 60), Event(Kind.SPIN, 2, 30, 55), Event(Kind.SPIN, 0, 54, 99))
    scene = Scene("hand", "train", 10, 300, SCENE.actors, events, SCENE.background)
    assert Together(clause(Kind.SPIN), 2).find(list_facts(scene), 10) == {(5, 54)}

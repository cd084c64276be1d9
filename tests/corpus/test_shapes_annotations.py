"""Sentences of the drawn corpus: natural, true in one moment of their video, with all moments of the split."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from corpus.shapes.annotations import Library, annotate
from corpus.shapes.facts import is_held_out, list_facts
from corpus.shapes.params import ShapesParams, SplitSizes
from corpus.shapes.scene import Kind, Scene
from corpus.shapes.scenes import draw_scene, draw_scenes, make_rng
from corpus.shapes.wording.grammar import Speaker
from corpus.shapes.wording.questions import ask
from corpus.shapes.wording.sentences import Clause, Description, Nth, Related, Sentence, Sequel, Simple, Together
from corpus.shapes.wording.words import PLAIN, SHIFTED, conjugate, make_plural

PARAMS = ShapesParams(
    videos=SplitSizes(train=60, val=10, test=20, test_unseen=15, test_background=20, test_shifted=15),
    train_queries_per_video=10,
    test_queries_per_video=6,
    shortest_s=20,
    longest_s=40,
    shortest_event_s=1.8,
    longest_event_s=8,
    min_events=3,
    max_events=6,
    min_actors=4,
    max_actors=6,
    background_bias=0.4,
    size_px=96,
    fps=10,
    quality=23,
    keyframe_s=2,
    sample_rate_hz=16000,
    audio_bits_per_s=24000,
)
RED_CIRCLE_MOVES_RIGHT = Clause(Kind.MOVE_RIGHT, Description("red", "circle"))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(draw_scenes(PARAMS, seed=5))


@pytest.fixture(scope="module")
def rows(scenes: list[Scene]) -> list[dict[str, Any]]:
    return annotate(scenes, PARAMS, seed=5)


def say_often(sentence: Sentence, *, shifted: bool = False) -> set[str]:
    speaker = Speaker(np.random.default_rng(0), shifted=shifted)
    return {speaker.say(sentence) for _ in range(600)}


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        (Simple(RED_CIRCLE_MOVES_RIGHT), "the red circle moves right"),
        (Simple(Clause(Kind.SPIN, Description())), "something spins"),
        (Simple(Clause(Kind.GROW, Description("orange"))), "an orange shape gets bigger"),
        (
            Simple(Clause(Kind.COLLIDE, Description(shape="star"), Description("blue", "square"))),
            "a star bumps into the blue square",
        ),
        (
            Related(Clause(Kind.SPIN, Description("blue", "square")), "after", Clause(Kind.LEAVE, Description("red", "circle"))),
            "after the red circle leaves, a blue square spins",
        ),
        (Nth(Clause(Kind.BLINK, Description(shape="star")), 2), "the star flashes for the second time"),
        (
            Sequel(Clause(Kind.ENTER, Description("red")), Clause(Kind.SHAKE, Description(shape="heart"))),
            "a red shape enters, then the heart shakes",
        ),
        (Together(Clause(Kind.BLINK, Description(None, "cross")), 2), "two crosses blink at the same time"),
    ],
)
def test_the_grammar_says_it_naturally(sentence: Sentence, words: str) -> None:
    assert words in say_often(sentence)


def test_the_shifted_split_mixes_new_words_with_known_ones() -> None:
    said = say_often(Simple(RED_CIRCLE_MOVES_RIGHT), shifted=True)
    assert {"the red ball travels rightwards", "the red circle moves right"} <= said
    assert not any("ball" in text or "travel" in text for text in say_often(Simple(RED_CIRCLE_MOVES_RIGHT)))


def test_every_shifted_verb_is_new() -> None:
    assert all(not set(PLAIN.verbs[kind]) & set(SHIFTED.verbs[kind]) for kind in Kind)


def test_words_are_inflected() -> None:
    assert [conjugate(verb) for verb in ("move to the right", "flash", "go up", "hit")] == [
        "moves to the right",
        "flashes",
        "goes up",
        "hits",
    ]
    assert [make_plural(noun) for noun in ("cross", "box", "plus sign")] == ["crosses", "boxes", "plus signs"]


def test_a_sentence_is_true_at_exactly_one_place_of_its_video(scenes: list[Scene]) -> None:
    for scene in scenes[:60]:
        for question in ask(scene, make_rng(5, scene.split, 0, "questions"), limit=10):
            assert question.sentence.find(list_facts(scene), scene.fps) == {question.interval}


def test_no_sentence_is_asked_twice_about_a_video(scenes: list[Scene]) -> None:
    for scene in scenes[:60]:
        sentences = [question.sentence for question in ask(scene, make_rng(5, "train", 0, "questions"), limit=10)]
        assert len(set(sentences)) == len(sentences)


def test_lines_have_the_published_keys_and_windows_inside_the_video(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert set(row) == {"qid", "vid", "duration", "query", "relevant_windows", "split", "tags", "elsewhere", "source"}
        ((start, end),) = row["relevant_windows"]
        assert 0 <= start < end <= row["duration"]
        assert all(isinstance(value, str) for value in row["tags"].values())
    assert len({row["qid"] for row in rows}) == len(rows)


def test_elsewhere_holds_all_other_places_of_the_split(scenes: list[Scene]) -> None:
    of_split = [scene for scene in scenes if scene.split == "train"]
    library = Library(of_split)
    for scene in of_split[:15]:
        for question in ask(scene, make_rng(5, "train", 0, "questions"), limit=10):
            slow = {other.video_id: sorted(question.sentence.find(list_facts(other), 10)) for other in of_split}
            assert library.find(question.sentence) == {video: places for video, places in slow.items() if places}


def test_elsewhere_stays_within_the_split_and_other_videos(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row["vid"] not in row["elsewhere"]
        assert all(video_id.rsplit("_", 1)[0] == row["split"] for video_id in row["elsewhere"])
    assert any(row["elsewhere"] for row in rows)


def test_every_form_occurs_and_long_unions_are_rare(rows: list[dict[str, Any]]) -> None:
    forms = Counter(row["tags"]["form"] for row in rows)
    assert set(forms) == {"simple", "partial", "relation", "ordinal", "count", "sequence"}
    assert forms["sequence"] < 0.06 * len(rows)
    for row in rows:
        ((start, end),) = row["relevant_windows"]
        assert row["tags"]["form"] != "sequence" or end - start <= 0.4 * row["duration"]


def test_unseen_sentences_name_held_out_combinations() -> None:
    for number in range(15):
        scene = draw_scene(PARAMS, seed=5, split="test_unseen", number=number)
        for question in ask(scene, make_rng(5, "test_unseen", number, "questions"), limit=6):
            assert is_held_out(question.target)
            assert question.form not in ("partial", "count")


def test_the_background_split_asks_the_same_in_the_same_words(rows: list[dict[str, Any]]) -> None:
    def of(split: str) -> list[tuple[str, object]]:
        return [(row["query"], row["relevant_windows"]) for row in rows if row["split"] == split]

    assert of("test_background") == of("test")
    assert len(of("test")) > 60


@pytest.mark.slow
def test_no_connective_reveals_much_about_the_time() -> None:
    scenes = [draw_scene(PARAMS, seed=9, split="train", number=number) for number in range(300)]
    starts: dict[str, list[float]] = {}
    for row in annotate(scenes, PARAMS, seed=9):
        ((start, end),) = row["relevant_windows"]
        names = [word for word in ("after", "before", "while", "first", "last") if word in row["query"].split()]
        for name in [*names, row["tags"]["form"], row["tags"]["kind"]]:
            starts.setdefault(name, []).append(start / (row["duration"] - (end - start)))
    for name, values in starts.items():
        assert 0.34 < np.mean(values) < 0.64, (name, np.mean(values), len(values))


def test_every_video_has_a_sentence(scenes: list[Scene], rows: list[dict[str, Any]]) -> None:
    assert {row["vid"] for row in rows} == {scene.video_id for scene in scenes}

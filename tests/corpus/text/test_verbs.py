"""Detection of the main verb in sentences of real corpora."""

import json
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from corpus.shapes.wording.words import PLAIN, SHIFTED, Lexicon, conjugate, make_plural
from corpus.text.verbs import NO_VERB, find_verb


@pytest.mark.parametrize(
    ("sentence", "verb"),
    [
        ("a person opens the door", "open"),
        ("Person is drinking a glass of wine.", "drink"),
        ("a person is constantly sneezing.", "sneeze"),
        ("person starts sneezing.", "sneeze"),
        ("the man is seen playing a set of bongo drums", "play"),
        ("He slowly starts to lift it, then drops it.", "lift"),
        ("The credits of the video are shown.", "show"),
        ("the person can take their medicine.", "take"),
        ("A couple and a child are in a living room.", "be"),
        ("person closing the front door.", "close"),
        ("they close the book", "close"),
        ("the blue triangle bumps into the white triangle", "bump"),
        ("a white cross moves up", "move"),
        ("the first time the orange cross rises", "rise"),
        ("two magenta shapes swell at the same time", "swell"),
        ("two squares blink together", "blink"),
        ("after a cyan triangle spins, the cyan square turns around", "turn"),
        ("a box enters while the plus sign rotates", "enter"),
        ("washing dishes", "wash"),
        ("3 2 1", NO_VERB),
        ("Überraschung", NO_VERB),
    ],
)
def test_the_verb_of_a_sentence_is_its_main_one_in_its_base_form(sentence: str, verb: str) -> None:
    assert find_verb(sentence) == verb


def test_a_clause_of_time_alone_still_gives_its_verb() -> None:
    assert find_verb("before the star leaves,") == "leave"


@pytest.mark.parametrize("lexicon", [PLAIN, SHIFTED], ids=["plain", "shifted"])
def test_every_wording_of_the_drawn_corpus_gives_its_verb(lexicon: Lexicon) -> None:
    nouns = [noun for options in lexicon.nouns.values() for noun in options]
    verbs = [verb for options in lexicon.verbs.values() for verb in options]
    colors = [color for options in lexicon.colors.values() for color in options]
    wrong = [
        (sentence, verb)
        for verb, noun in product(verbs, nouns)
        for sentence in (
            *(f"the {color} {noun} {conjugate(verb)}" for color in colors),
            f"a {noun} {conjugate(verb)} while a {noun} comes in",
            f"before a {noun} comes in, the {noun} {conjugate(verb)}",
            f"the last time a {noun} {conjugate(verb)}",
            f"two {make_plural(noun)} {verb} together",
            f"three red {make_plural(noun)} {verb} at the same time",
        )
        if find_verb(sentence) != verb.split()[0]
    ]
    assert wrong == []


def test_nearly_every_sentence_of_public_corpora_has_a_verb(shared_dir: Path) -> None:
    lines = (shared_dir / "annotations/charades_sta/charades_sta_test.txt").read_text().splitlines()
    charades = Counter(find_verb(line.split("##")[1]) for line in lines)
    assert charades[NO_VERB] < len(lines) / 500
    assert {"open", "close", "take", "put", "sit", "eat"} <= {verb for verb, _ in charades.most_common(12)}
    assert len(charades) < 150  # Charades-STA covers a few dozen actions

    videos = json.loads((shared_dir / "annotations/activitynet_captions/val.json").read_text()).values()
    sentences = [sentence for video in videos for sentence in video["sentences"] if any(map(str.isalnum, sentence))][:4000]
    assert sum(find_verb(sentence) == NO_VERB for sentence in sentences) < len(sentences) / 100

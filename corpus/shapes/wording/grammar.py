"""Grammar: turns sentences into English."""

from collections.abc import Sequence

import numpy as np

from corpus.shapes.wording.sentences import Clause, Description, Nth, Related, Sentence, Sequel, Simple, Together
from corpus.shapes.wording.words import PLAIN, SHIFTED, Lexicon, conjugate, make_plural

_ORDINALS = {1: "first", 2: "second", 3: "third", -1: "last"}
_NUMBERS = {2: "two", 3: "three", 4: "four"}
_RELATED = {
    "after": ("{clause} after {other}", "after {other}, {clause}"),
    "before": ("{clause} before {other}", "before {other}, {clause}"),
    "while": ("{clause} while {other}", "while {other}, {clause}", "{clause} as {other}"),
}
_SEQUEL = ("{first} and then {second}", "{first}, then {second}", "first {first}, then {second}")
_NTH = ("{clause} for the {ordinal} time", "the {ordinal} time {clause}")
_TOGETHER = ("{number} {nouns} {verb} at the same time", "{number} {nouns} {verb} together")
_SHIFTED_SHARE = 0.6  # of the words of a shifted sentence; training never shows these words


class Speaker:
    """Generator of English sentences that chooses one of several wordings each time."""

    def __init__(self, rng: np.random.Generator, *, shifted: bool) -> None:
        self._rng = rng
        self._shifted = shifted

    def say(self, sentence: Sentence) -> str:
        """Return one English sentence."""
        match sentence:
            case Simple(clause):
                return self._say_clause(clause)
            case Related(clause, connective, other):
                form = self._pick(_RELATED[connective])
                return form.format(clause=self._say_clause(clause), other=self._say_clause(other))
            case Nth(clause, number):
                return self._pick(_NTH).format(clause=self._say_clause(clause), ordinal=_ORDINALS[number])
            case Sequel(first, second):
                return self._pick(_SEQUEL).format(first=self._say_clause(first), second=self._say_clause(second))
            case Together(clause, number):
                return self._say_together(clause, number)

    def _say_clause(self, clause: Clause) -> str:
        words = [self._say_description(clause.subject), conjugate(self._pick(self._lexicon().verbs[clause.kind]))]
        if clause.object is not None:
            words.append(self._say_description(clause.object))
        return " ".join(words)

    def _say_description(self, description: Description) -> str:
        if description.color is None and description.shape is None and self._rng.random() < 0.5:
            return "something"
        article = self._pick(("the", "a"))
        noun = self._say_noun(description)
        return f"an {noun}" if article == "a" and noun[0] in "aeiou" else f"{article} {noun}"

    def _say_noun(self, description: Description) -> str:
        noun = self._pick(self._lexicon().nouns[description.shape])
        return noun if description.color is None else f"{self._pick(self._lexicon().colors[description.color])} {noun}"

    def _say_together(self, clause: Clause, number: int) -> str:
        nouns = make_plural(self._say_noun(clause.subject))
        verb = self._pick(self._lexicon().verbs[clause.kind])
        return self._pick(_TOGETHER).format(number=_NUMBERS[number], nouns=nouns, verb=verb)

    def _lexicon(self) -> Lexicon:
        return SHIFTED if self._shifted and self._rng.random() < _SHIFTED_SHARE else PLAIN

    def _pick(self, choices: Sequence[str]) -> str:
        return choices[int(self._rng.integers(len(choices)))]

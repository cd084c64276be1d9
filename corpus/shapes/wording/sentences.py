"""Meaning of sentences, independent of words, and the moments in which they are true."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from corpus.shapes.facts import Fact
from corpus.shapes.scene import Actor, Kind

_WHILE_SHARE = 0.5  # of the fact that happens "while" another does
_SHORTEST_TOGETHER_S = 1.0


class Interval(NamedTuple):
    """Frames [start, end)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Description:
    """A description of actors; None leaves colour or shape open."""

    color: str | None = None
    shape: str | None = None

    def matches(self, actor: Actor) -> bool:
        """Tell whether the description fits an actor."""
        return self.color in (None, actor.color) and self.shape in (None, actor.shape)


@dataclass(frozen=True, slots=True)
class Clause:
    """An actor does something, in collisions to another actor."""

    kind: Kind
    subject: Description
    object: Description | None = None

    def matches(self, fact: Fact) -> bool:
        """Tell whether the clause states this fact."""
        if fact.kind is not self.kind or not self.subject.matches(fact.actor):
            return False
        return self.object is None or (fact.patient is not None and self.object.matches(fact.patient))

    def find_facts(self, facts: Sequence[Fact]) -> list[Fact]:
        """Return the facts that the clause states, in the given order."""
        return [fact for fact in facts if self.matches(fact)]


@dataclass(frozen=True, slots=True)
class Simple:
    """A clause alone."""

    clause: Clause

    def find(self, facts: Sequence[Fact], fps: int) -> set[Interval]:
        """Return the intervals in which the sentence is true."""
        return {Interval(fact.start, fact.end) for fact in self.clause.find_facts(facts)}


@dataclass(frozen=True, slots=True)
class Related:
    """A clause "after", "before" or "while" another one; its intervals are those of the first clause."""

    clause: Clause
    connective: str
    other: Clause

    def find(self, facts: Sequence[Fact], fps: int) -> set[Interval]:
        """Return the intervals in which the sentence is true."""
        others = self.other.find_facts(facts)
        return {
            Interval(fact.start, fact.end)
            for fact in self.clause.find_facts(facts)
            if any(fact.event != other.event and self._holds(fact, other) for other in others)
        }

    def _holds(self, fact: Fact, other: Fact) -> bool:
        if self.connective == "after":
            return other.end <= fact.start
        if self.connective == "before":
            return fact.end <= other.start
        return measure_overlap(fact, other) >= _WHILE_SHARE


@dataclass(frozen=True, slots=True)
class Nth:
    """The `number`-th occurrence of a clause, counted from 1; -1 is the last one."""

    clause: Clause
    number: int

    def find(self, facts: Sequence[Fact], fps: int) -> set[Interval]:
        """Return the interval in which the sentence is true, if there is one."""
        found = self.clause.find_facts(facts)
        if len(found) < max(self.number, 1):
            return set()
        fact = found[self.number if self.number < 0 else self.number - 1]
        return {Interval(fact.start, fact.end)}


@dataclass(frozen=True, slots=True)
class Sequel:
    """The first clause and then the second: from the start of the first to the end of the second."""

    first: Clause
    second: Clause

    def find(self, facts: Sequence[Fact], fps: int) -> set[Interval]:
        """Return the intervals in which the sentence is true."""
        seconds = self.second.find_facts(facts)
        return {
            Interval(first.start, second.end)
            for first in self.first.find_facts(facts)
            for second in seconds
            if first.end <= second.start
        }


@dataclass(frozen=True, slots=True)
class Together:
    """Exactly `number` actors do the same at the same time: every maximal interval of at least a second."""

    clause: Clause
    number: int

    def find(self, facts: Sequence[Fact], fps: int) -> set[Interval]:
        """Return the intervals in which the sentence is true."""
        found = self.clause.find_facts(facts)
        edges = sorted({edge for fact in found for edge in (fact.start, fact.end)})
        intervals: set[Interval] = set()
        for start, end in pairwise(edges):
            if sum(fact.start <= start and end <= fact.end for fact in found) == self.number:
                last = next((interval for interval in intervals if interval.end == start), None)
                intervals.discard(last or Interval(start, end))
                intervals.add(Interval(last.start if last else start, end))
        return {interval for interval in intervals if interval.end - interval.start >= _SHORTEST_TOGETHER_S * fps}


Sentence = Simple | Related | Nth | Sequel | Together


def measure_overlap(fact: Fact, other: Fact) -> float:
    """Return the share of `fact` during which `other` holds too, in [0, 1]."""
    shared = min(fact.end, other.end) - max(fact.start, other.start)
    return max(shared, 0) / fact.length


def list_clauses(sentence: Sentence) -> list[Clause]:
    """Return the clauses of a sentence; a video without a fact of each cannot satisfy it."""
    match sentence:
        case Related(clause, _, other):
            return [clause, other]
        case Sequel(first, second):
            return [first, second]
        case _:
            return [sentence.clause]

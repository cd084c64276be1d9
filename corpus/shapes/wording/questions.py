"""Questions about a scene: each sentence is true of exactly one moment, and no kind of sentence is tied to a time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from corpus.shapes.facts import Fact, is_held_out, list_facts
from corpus.shapes.scene import Actor, Kind, Scene
from corpus.shapes.wording.sentences import (
    Clause,
    Description,
    Interval,
    Nth,
    Related,
    Sentence,
    Sequel,
    Simple,
    Together,
    list_clauses,
    measure_overlap,
)

# Attempts per form. Scenes that do not offer a form drop the attempt, so rare forms get more attempts.
_FORMS = {"simple": 0.3, "partial": 0.2, "relation": 0.24, "ordinal": 0.14, "count": 0.09, "sequence": 0.03}
_TRIES_PER_QUERY = 15
_LONGEST_SEQUENCE = 0.4  # of the video: a long union is easy to guess
_FULL_SHARE = 0.6  # of the clauses: these name both colour and shape even if less would be unambiguous
_FAVOUR = 2.2  # balances the starts of "after" and "before", "first" and "last"
_VAGUE_WHILE = (0.05, 0.6)  # an overlap that some people would call "while"


@dataclass(frozen=True, slots=True)
class Question:
    """A sentence with the only interval of its scene in which it is true, and its subject."""

    sentence: Sentence
    interval: Interval
    form: str
    target: Fact
    distractors: int
    ambiguous: bool


def ask(scene: Scene, rng: np.random.Generator, *, limit: int) -> list[Question]:
    """Return at most `limit` different questions."""
    facts = list_facts(scene)
    asked: dict[Sentence, Question] = {}
    for _ in range(limit * _TRIES_PER_QUERY):
        form = str(rng.choice(list(_FORMS), p=list(_FORMS.values())))
        question = _try_form(scene, facts, form, rng)
        if question is not None and question.sentence not in asked and not _is_used(question, asked.values()):
            asked[question.sentence] = question
        if len(asked) == limit:
            break
    return list(asked.values())


def _try_form(scene: Scene, facts: Sequence[Fact], form: str, rng: np.random.Generator) -> Question | None:
    targets = [fact for fact in facts if fact.kind is scene.events[fact.event].kind]
    target = targets[int(rng.integers(len(targets)))]
    sentence = _PROPOSERS[form](target, facts, rng, scene.num_frames)
    if sentence is None or not _fits_split(scene.split, sentence, target):
        return None
    found = sentence.find(facts, scene.fps)
    if len(found) != 1 or _is_vague(sentence, facts):
        return None
    interval = found.pop()
    if form == "sequence" and interval.end - interval.start > _LONGEST_SEQUENCE * scene.num_frames:
        return None
    similar = sum(_is_similar(fact, target) for fact in targets)
    ambiguous = len(Simple(list_clauses(sentence)[0]).find(facts, scene.fps)) > 1
    return Question(sentence, interval, form, target, similar, ambiguous)


def _propose_simple(target: Fact, facts: Sequence[Fact], rng: np.random.Generator, num_frames: int) -> Sentence | None:
    return Simple(_describe(target, rng, full=True))


def _propose_partial(target: Fact, facts: Sequence[Fact], rng: np.random.Generator, num_frames: int) -> Sentence | None:
    return Simple(_describe(target, rng, full=False))


def _propose_relation(target: Fact, facts: Sequence[Fact], rng: np.random.Generator, num_frames: int) -> Sentence | None:
    others = [fact for fact in facts if fact.event != target.event]
    if not others:
        return None
    other = others[int(rng.integers(len(others)))]
    if other.end <= target.start and rng.random() < _favour_early(target, num_frames):
        connective = "after"
    elif target.end <= other.start and rng.random() < _favour_late(target, num_frames):
        connective = "before"
    elif measure_overlap(target, other) >= _VAGUE_WHILE[1]:
        connective = "while"
    else:
        return None
    clause = _describe(target, rng, full=rng.random() < _FULL_SHARE)
    return Related(clause, connective, _describe(other, rng, full=rng.random() < _FULL_SHARE))


def _propose_ordinal(target: Fact, facts: Sequence[Fact], rng: np.random.Generator, num_frames: int) -> Sentence | None:
    clause = _describe(target, rng, full=rng.random() < _FULL_SHARE)
    found = clause.find_facts(facts)
    place = found.index(target) + 1
    if len(found) < 2 or place > 3:
        return None
    last = place == len(found) and rng.random() < 0.6
    share = _favour_early(target, num_frames) if last or place > 1 else _favour_late(target, num_frames)
    return Nth(clause, -1 if last else place) if rng.random() < share else None


def _propose_count(target: Fact, facts: Sequence[Fact], rng: np.random.Generator, num_frames: int) -> Sentence | None:
    clause = _describe(target, rng, full=False)
    together = [fact for fact in clause.find_facts(facts) if measure_overlap(target, fact) > 0]
    if target.kind is Kind.COLLIDE or not 2 <= len(together) <= 4:
        return None
    return Together(clause, len(together))


def _favour_early(target: Fact, num_frames: int) -> float:
    """Return the sampling weight of "after" and "last". Late events offer these words more often, which would leak the time."""
    return float((1 - 0.9 * target.start / max(1, num_frames - target.length)) ** _FAVOUR)


def _favour_late(target: Fact, num_frames: int) -> float:
    """Return the sampling weight of "before" and "first", which early events offer more often."""
    return float((0.1 + 0.9 * target.start / max(1, num_frames - target.length)) ** _FAVOUR)


def _propose_sequence(target: Fact, facts: Sequence[Fact], rng: np.random.Generator, num_frames: int) -> Sentence | None:
    others = [fact for fact in facts if fact.end <= target.start and fact.event != target.event]
    if not others:
        return None
    first = others[int(rng.integers(len(others)))]
    return Sequel(_describe(first, rng, full=rng.random() < _FULL_SHARE), _describe(target, rng, full=rng.random() < _FULL_SHARE))


_Proposer = Callable[[Fact, Sequence[Fact], np.random.Generator, int], Sentence | None]
_PROPOSERS: dict[str, _Proposer] = {
    "simple": _propose_simple,
    "partial": _propose_partial,
    "relation": _propose_relation,
    "ordinal": _propose_ordinal,
    "count": _propose_count,
    "sequence": _propose_sequence,
}


def _describe(fact: Fact, rng: np.random.Generator, *, full: bool) -> Clause:
    """Describe the actor of a fact by colour and shape, or by less."""
    subject = Description(fact.actor.color, fact.actor.shape) if full else _describe_partly(fact.actor, rng)
    if fact.patient is None:
        return Clause(fact.kind, subject)
    other = Description(fact.patient.color, fact.patient.shape)
    return Clause(fact.kind, subject, other if rng.random() < _FULL_SHARE else _describe_partly(fact.patient, rng))


def _describe_partly(actor: Actor, rng: np.random.Generator) -> Description:
    parts = [Description(actor.color), Description(None, actor.shape), Description()]
    return parts[int(rng.integers(len(parts)))]


def _is_similar(fact: Fact, target: Fact) -> bool:
    """Tell whether another event could be mistaken for the target: same kind, or same colour or shape of the actor."""
    same = (fact.kind is target.kind, fact.actor.color == target.actor.color, fact.actor.shape == target.actor.shape)
    return fact.event != target.event and any(same)


def _fits_split(split: str, sentence: Sentence, target: Fact) -> bool:
    if split != "test_unseen":
        return True
    return is_held_out(target) and None not in (list_clauses(sentence)[0].subject.color, list_clauses(sentence)[0].subject.shape)


def _is_vague(sentence: Sentence, facts: Sequence[Fact]) -> bool:
    """Tell whether people could disagree about "while"."""
    if not isinstance(sentence, Related) or sentence.connective != "while":
        return False
    pairs = [(fact, other) for fact in sentence.clause.find_facts(facts) for other in sentence.other.find_facts(facts)]
    low, high = _VAGUE_WHILE
    return any(fact.event != other.event and low < measure_overlap(fact, other) < high for fact, other in pairs)


def _is_used(question: Question, asked: Iterable[Question]) -> bool:
    """Tell whether the event already has a question with this connective, or the scene already has a sequence."""
    sentence = question.sentence
    if isinstance(sentence, Sequel):
        return any(isinstance(other.sentence, Sequel) for other in asked)
    return isinstance(sentence, Related) and any(
        isinstance(other.sentence, Related)
        and other.sentence.connective == sentence.connective
        and other.target.event == question.target.event
        for other in asked
    )

"""Votes of people on one sentence and video: which moments they agree on, and which they dispute."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from corpus.moments import Moment, compute_iou
from corpus.names import unify

SAME_IOU = 0.5  # moments that overlap at least so much are one


class Vote(NamedTuple):
    """A person's verdict on a shown moment; `corrected` is what they put in its place."""

    verdict: str  # right, wrong or corrected
    shown: Moment
    corrected: Moment | None
    time_s: float
    feedback_id: str

    @property
    def wanted(self) -> Moment | None:
        """The moment that the person calls true."""
        return self.shown if self.verdict == "right" else self.corrected

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        row = {"verdict": self.verdict, "shown": [self.shown.start_s, self.shown.end_s]}
        if self.corrected:
            row["corrected"] = [self.corrected.start_s, self.corrected.end_s]
        return row | {"time_s": self.time_s, "feedback_id": self.feedback_id}


class Subject(NamedTuple):
    """What is voted on."""

    video_id: str
    text: str


class Resolved(NamedTuple):
    """The outcome of the votes on one subject."""

    agreed: tuple[Moment, ...]  # more people call it true than not
    disputed: tuple[Moment, ...]  # called true by someone, and by no majority
    votes: tuple[Vote, ...]

    @property
    def wanted(self) -> list[Moment]:
        """What each person who named a true moment called true."""
        return [vote.wanted for vote in self.votes if vote.wanted]

    @property
    def num_wrong(self) -> int:
        """The number of people who called a moment wrong."""
        return sum(vote.verdict == "wrong" for vote in self.votes)


def collect_votes(rows: Iterable[Mapping[str, Any]]) -> dict[Subject, list[Vote]]:
    """Return the votes by sentence and video, oldest first. A second verdict on one moment of one answer replaces the first."""
    last: dict[tuple[Any, ...], tuple[Subject, Vote]] = {}
    for row in rows:
        shown = Moment(row["start_s"], row["end_s"])
        is_corrected = row["verdict"] == "corrected"
        corrected = Moment(row["corrected_start_s"], row["corrected_end_s"]) if is_corrected else None
        vote = Vote(row["verdict"], shown, corrected, row["time_s"], row["feedback_id"])
        subject = Subject(row["video_id"], unify(" ".join(row["query"].split())))
        person = row.get("answer_id") or row["feedback_id"]
        last.pop((person, subject, shown), None)
        last[person, subject, shown] = subject, vote
    votes: dict[Subject, list[Vote]] = defaultdict(list)
    for subject, vote in last.values():
        votes[subject].append(vote)
    return dict(votes)


def resolve(votes: Sequence[Vote]) -> Resolved:
    """Return the moments that people agree on and those that they dispute.

    Wanted moments that overlap by `SAME_IOU` with the one that most others support are one moment, whose start and end are
    their medians. It is agreed if more people want it than call it wrong, by the verdict or by a correction to elsewhere.
    """
    agreed: list[Moment] = []
    disputed: list[Moment] = []
    left = [vote for vote in votes if vote.wanted]
    while left:
        support = [sum(_is_same(one.wanted, other.wanted) for other in left) for one in left]
        best = left[int(np.argmax(support))]
        group = [vote for vote in left if _is_same(vote.wanted, best.wanted)]
        spans = [vote.wanted for vote in group if vote.wanted]
        moment = Moment(median(span.start_s for span in spans), median(span.end_s for span in spans))
        against = sum(_is_same(vote.shown, moment) and not _is_same(vote.wanted, moment) for vote in votes)
        (agreed if len(group) > against else disputed).append(moment)
        left = [vote for vote in left if vote not in group]
    return Resolved(tuple(sorted(agreed)), tuple(sorted(disputed)), tuple(votes))


def _is_same(one: Moment | None, other: Moment | None) -> bool:
    if one is None or other is None:
        return False
    pair = [np.array([[span.start_s, span.end_s]], dtype=np.float64) for span in (one, other)]
    return float(compute_iou(*pair)[0, 0]) >= SAME_IOU

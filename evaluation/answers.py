"""The localizer's answers to single queries, and the rules that select answers for a report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.moments import Floats, RankedMoment
from corpus.records import Query, Video
from evaluation.questions import Questions
from models.metrics.spans import RankedSpans, compute_best_iou
from search.calibration import squash

HIT_IOU = 0.5


@dataclass(frozen=True)
class Answer:
    """The localizer's answers to one query in its video. `iou` is that of the first answer; scores lie in [0, 1]."""

    query: Query
    video: Video
    spans: Floats  # (K, 2) seconds, best first
    scores: Floats  # (K,)
    iou: float
    collection_rank: int | None  # of the first right answer over the whole split

    @property
    def score(self) -> float:
        """The score of the first answer, 0 without answers."""
        return float(self.scores[0]) if len(self.scores) else 0.0

    @property
    def is_hit(self) -> bool:
        """Whether the first answer overlaps a true moment by more than half."""
        return self.iou > HIT_IOU

    def to_json(self) -> dict[str, Any]:
        """Return the row of `per_query.jsonl`."""
        return {
            "qid": self.query.qid,
            "video_id": self.video.video_id,
            "duration_s": self.video.duration_s,
            "text": self.query.text,
            "truth": [[moment.start_s, moment.end_s] for moment in self.query.spans],
            "found": self.list_windows(),
            "iou": round(self.iou, 6),
            "collection_rank": self.collection_rank,
            "tags": dict(self.query.tags),
        }

    def to_qvhighlights(self, searched: Sequence[RankedMoment]) -> dict[str, Any]:
        """Return the row of a prediction file in the format of QVHighlights, unrounded, so that it scores like these answers.

        `searched` are the answers over the whole split, best first.
        """
        return {
            "qid": self.query.qid,
            "query": self.query.text,
            "vid": self.video.video_id,
            "pred_relevant_windows": np.column_stack([self.spans, self.scores]).tolist(),
            "pred_collection_moments": [list(moment) for moment in searched],
        }

    def list_windows(self) -> list[list[float]]:
        """Return [start_s, end_s, score] of each answer, rounded for reading."""
        return [
            [round(float(start), 3), round(float(end), 3), round(float(score), 6)]
            for (start, end), score in zip(self.spans, self.scores, strict=True)
        ]


def list_answers(found: RankedSpans, ranks: Floats | None, questions: Questions) -> list[Answer]:
    """Pair every query with its answers; logits become scores in [0, 1] by the sigmoid. `ranks` (Q,) are the collection's."""
    best = np.where(found.valid, compute_best_iou(found.spans, questions.truth), 0.0)  # (Q, K)
    scores = squash(found.scores)
    answers = []
    for row, query in enumerate(questions.queries):
        valid = found.valid[row]
        rank = None if ranks is None or not np.isfinite(ranks[row]) else int(ranks[row])
        video = questions.videos[questions.video_index[row]]
        answers.append(Answer(query, video, found.spans[row][valid], scores[row][valid], float(best[row, 0]), rank))
    return answers


def choose_spread(answers: Sequence[Answer], count: int) -> list[Answer]:
    """Return answers at evenly spaced quantiles of the overlap, best first, as a fair sample of good and bad ones.

    If a video was already chosen, the next answer about another video takes its place, if there is one.
    """
    ordered = sorted(answers, key=lambda answer: (-answer.iou, -answer.score, answer.query.qid))
    count = min(count, len(ordered))
    chosen: list[Answer] = []
    for place in range(count):
        rest = ordered[int((place + 0.5) * len(ordered) / count) :] + ordered
        free = [answer for answer in rest if all(answer is not other for other in chosen)]
        seen = {answer.video.video_id for answer in chosen}
        chosen.append(next((answer for answer in free if answer.video.video_id not in seen), free[0]))
    return sorted(chosen, key=lambda answer: (-answer.iou, -answer.score, answer.query.qid))


def choose_best(answers: Iterable[Answer], count: int) -> list[Answer]:
    """Return the hits with the largest overlap, ties by score; without hits, only the best answer."""
    ordered = sorted(answers, key=lambda answer: (-answer.iou, -answer.score, answer.query.qid))
    return _take_first([answer for answer in ordered if answer.is_hit], count) or ordered[:1]


def choose_worst(answers: Iterable[Answer], count: int) -> list[Answer]:
    """Return the misses that are farthest off, measured between the centres as a share of the video."""
    misses = [answer for answer in answers if not answer.is_hit and len(answer.spans)]
    return _take_first(sorted(misses, key=lambda answer: (-_measure_distance(answer), answer.query.qid)), count)


def choose_confident_misses(answers: Iterable[Answer], count: int) -> list[Answer]:
    """Return the misses with the highest scores."""
    misses = [answer for answer in answers if not answer.is_hit]
    return _take_first(sorted(misses, key=lambda answer: (-answer.score, answer.query.qid)), count)


def _take_first(ordered: Sequence[Answer], count: int) -> list[Answer]:
    """Return the first answer of each video, at most `count`."""
    first: dict[str, Answer] = {}
    for answer in ordered:
        first.setdefault(answer.video.video_id, answer)
    return list(first.values())[:count]


def _measure_distance(answer: Answer) -> float:
    centre = float(answer.spans[0].mean())
    distances = [abs(centre - (moment.start_s + moment.end_s) / 2) for moment in answer.query.spans]
    return min(distances) / answer.video.duration_s

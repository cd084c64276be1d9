"""Presence in a collection: the confidence of answers, calibrated on labels or by the null distribution of the bank.

Labels count if the bundle learned a calibration and searches the corpus of that calibration. Otherwise the bank of sentences
takes their place (`search.null_calibration`).
Letters: B sentences of the bank that the models understand, R moments, E embedding width.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np

from corpus.moments import Floats, RankedMoment
from search.calibration import Calibrations, Presence, to_logits
from search.clip_index import ClipIndex, Vectors
from search.cohort import Cohort
from search.null_calibration import NullScores, compute_standings


class CollectionPresence:
    """Assesses the answers of one collection; threads may share it. The bank is scored when it is first needed."""

    def __init__(
        self, clips: ClipIndex, calibrations: Calibrations, *, is_labelled: bool, embed_bank: Callable[[], Vectors]
    ) -> None:
        """Assess answers from `clips`. If `is_labelled`, the calibrations were learned on their corpus."""
        self._clips = clips
        self._search = calibrations.search if is_labelled else None
        self._localize = calibrations.localize if is_labelled else None
        self._embed_bank = embed_bank
        self._computing = threading.RLock()

    def assess_search(
        self, ranked: Sequence[RankedMoment], query: Vectors, *, clip_score: float, video_ids: Iterable[str] | None
    ) -> Presence | None:
        """Assess the best moments of a search, best first; None without a calibration.

        `query` (E,) was searched in all videos or in `video_ids`, and `clip_score` is the score of the best clip.
        """
        if self._search is not None:
            return self._search.assess(_get_scores(ranked), clip_score=clip_score)
        best = {name: float(scores.max()) for name, scores in self._score_clips(query, ranked).items()}
        evidence = np.array([best.get(moment.video_id, clip_score) for moment in ranked])
        evidence[:1] = clip_score  # the best clip of the search is evidence for the best moment
        wanted = None if video_ids is None else list(video_ids)
        with self._computing:
            return self._null.assess_search(evidence, best=self._find_best(wanted))

    def assess_video(
        self, ranked: Sequence[RankedMoment], query: Vectors, *, video_id: str, clip_score: float
    ) -> Presence | None:
        """Assess the best moments of one video, best first; None without a calibration.

        `video_id` is empty if the video is not in the collection, and `clip_score` is the score of its best clip.
        """
        if self._localize is not None:
            standing = self.measure_standing(query, video_id=video_id, clip_score=clip_score)
            return self._localize.assess(to_logits(_get_scores(ranked)), clip_score=clip_score, standing=standing)
        others = self._cohort_others(query, video_id)
        with self._computing:
            return self._null.assess_video(clip_score, others[0], num_moments=len(ranked))

    def measure_standing(self, query: Vectors, *, video_id: str, clip_score: float) -> float:
        """Return the deviations by which a video's best clip for a sentence (E,) exceeds those of the cohort's other videos."""
        return float(compute_standings(np.array([clip_score]), self._cohort_others(query, video_id))[0])

    def _score_clips(self, query: Vectors, ranked: Sequence[RankedMoment]) -> dict[str, Vectors]:
        return self._clips.clip_scores(query, dict.fromkeys(moment.video_id for moment in ranked))

    def _cohort_others(self, query: Vectors, video_id: str) -> Floats:
        with self._computing:
            cohort = self._cohort
        return cohort.score_others(query, video_id)

    def _find_best(self, video_ids: Sequence[str] | None) -> Floats:
        """Return the score of the best clip for each sentence of the bank, in all videos or in some: (B,)."""
        return self._best if video_ids is None else self._search_bank(video_ids)

    def _search_bank(self, video_ids: Sequence[str] | None) -> Floats:
        searched = self._clips.video_ids if video_ids is None else video_ids
        if set(searched) <= set(self._null.video_ids):
            return self._null.find_best(searched)
        found = [self._clips.search_windows(vector, 1, video_ids=video_ids) for vector in self._bank]
        return np.array([hits[0][1] for hits in found if hits])

    @cached_property
    def _bank(self) -> Vectors:
        return self._embed_bank()

    @cached_property
    def _best(self) -> Floats:
        return self._search_bank(None)

    @cached_property
    def _cohort(self) -> Cohort:
        return Cohort.build(self._clips)

    @cached_property
    def _null(self) -> NullScores:
        return NullScores(self._cohort.video_ids, self._cohort.score(self._bank))


def _get_scores(ranked: Sequence[RankedMoment]) -> Floats:
    return np.array([moment.score for moment in ranked], dtype=np.float64)

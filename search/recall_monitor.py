"""Monitor of the first stage's recall, measured at intervals on sentences of clients."""

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence

from corpus.moments import RankedMoment
from search.contracts import Predictor
from search.two_stage import sort_moments

TOP_K = 10
MAX_VIDEOS = 2000  # localized in one check beside those that the search chose; a larger collection is sampled
_BUSY_SHARE = 0.01  # largest share of the time: a check of 600 videos spreads about two seconds of work over some minutes
_WINDOWS_AT_ONCE = 8  # localized between two pauses: a concurrent search waits some milliseconds
_KEPT_QUERIES, _KEPT_CHECKS = 64, 50
_IDLE_S = 5.0

logger = logging.getLogger("bentoml.cuepoint")


class StoppedError(Exception):
    """The service stops during a check."""


class RecallMonitor:
    """Compares answers to recent sentences with those of localizing every video, in a background thread."""

    def __init__(self, predictor: Predictor, *, busy_share: float = _BUSY_SHARE, max_videos: int = MAX_VIDEOS) -> None:
        """Measure a predictor. `start` runs checks in the background, `check` runs one now.

        Raises:
            ValueError: when the share is not in (0, 1].
        """
        if not 0 < busy_share <= 1:
            raise ValueError(f"busy_share must lie in (0, 1], got {busy_share}")
        self._predictor, self._busy_share, self._max_videos = predictor, busy_share, max_videos
        self._queries: deque[str] = deque(maxlen=_KEPT_QUERIES)
        self._recalls: deque[float] = deque(maxlen=_KEPT_CHECKS)
        self._random = random.Random(0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recall", daemon=True)
        self.num_checks = 0

    @property
    def recall(self) -> float:
        """The mean recall of the latest checks; NaN before the first."""
        recalls = list(self._recalls)
        return sum(recalls) / len(recalls) if recalls else math.nan

    def observe(self, query: str) -> None:
        """Remember a sentence that was asked over the whole collection."""
        self._queries.append(query)

    def start(self) -> None:
        """Start the background checks."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, even during a check."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def check(self, query: str) -> float:
        """Measure and record the recall of a search: the share of the collection's best moments that it finds.

        In a large collection, each sampled video stands for several, and the recall is an estimate.

        Raises:
            StoppedError: when `stop` is called during the check.
            KeyError: when a video is deleted during the check.
        """
        searched = self._predictor.rank_survivors(query, top_k=TOP_K)
        passed = {window.video_id for window in searched.windows}
        others = [video_id for video_id in self._predictor.collection.videos if video_id not in passed]
        drawn = self._random.sample(others, min(len(others), self._max_videos))
        best: list[RankedMoment] = []
        for videos in self._group([*sorted(passed), *drawn]):
            start_s = time.perf_counter()
            best = sort_moments(best + self._predictor.rank_videos(query, videos, top_k=TOP_K))[:TOP_K]
            self._pause(time.perf_counter() - start_s)
        weight = len(others) / len(drawn) if drawn else 1.0
        recall = compute_recall(searched.moments, best, drawn=set(drawn), weight=weight)
        self._recalls.append(recall)
        self.num_checks += 1
        return recall

    def _group(self, video_ids: Sequence[str]) -> Iterator[list[str]]:
        group: list[str] = []
        num_windows = 0
        for video_id in video_ids:
            group.append(video_id)
            num_windows += len(self._predictor.collection.list_windows(video_id))
            if num_windows >= _WINDOWS_AT_ONCE:
                yield group
                group, num_windows = [], 0
        if group:
            yield group

    def _pause(self, busy_s: float) -> None:
        if self._stopping.wait(busy_s * (1 / self._busy_share - 1)):
            raise StoppedError

    def _run(self) -> None:
        while not self._stopping.wait(_IDLE_S):
            if not self._queries:
                continue
            query = self._random.choice(list(self._queries))
            self._queries.remove(query)
            try:
                self.check(query)
            except StoppedError:
                return
            except KeyError as error:
                logger.info("a recall check was cancelled: %s", error)
            except (OSError, ValueError) as error:
                logger.warning("a recall check failed: %s", error)


def compute_recall(
    answers: Sequence[RankedMoment], best: Sequence[RankedMoment], *, drawn: Collection[str] = (), weight: float = 1.0
) -> float:
    """Return the recall of the answers: the share of the equally many best moments that they hold.

    Without answers it is 1 if there are no best moments, else 0. A moment of a `drawn` video counts `weight` times.
    """
    found = set(map(_place, answers))
    known = taken = 0.0
    for moment in best:
        if taken >= len(answers):
            break
        known += _place(moment) in found
        taken += weight if moment.video_id in drawn else 1.0
    return known / len(answers) if answers else float(not best)


def _place(moment: RankedMoment) -> tuple[str, float, float]:
    """Return the place of a moment, rounded because the last bits of a network's output depend on its batch."""
    return moment.video_id, round(moment.start_s, 2), round(moment.end_s, 2)

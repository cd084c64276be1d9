"""The challenger: a second set of models, tried beside the champion until it fails more often or takes longer."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import Sequence
from functools import partial

from search.answers import Answer
from serving.variants.agreement import agree
from serving.variants.attempt import Attempt, attempt
from serving.variants.follower import CollectionFollower
from serving.variants.metrics import VariantMetrics
from serving.variants.referee import Referee
from serving.variants.settings import ChallengerSettings
from serving.variants.status import ChallengerState, ChallengerStatus
from serving.variants.variant import CHALLENGER, Ask, Variant
from serving.variants.worker import StoppedError, Worker

HANG_S = 120.0  # a shadow that computes longer hangs; its lowest priority already makes it slow

logger = logging.getLogger("bentoml.cuepoint")


class Challenger:
    """Answers a share of the searches, or computes all of them in the background. Once removed, it stays out."""

    def __init__(
        self,
        variant: Variant,
        settings: ChallengerSettings,
        *,
        worker: Worker,
        referee: Referee,
        metrics: VariantMetrics,
    ) -> None:
        """Start to take part."""
        self._variant: Variant | None = variant
        self.model, self.model_name, self._settings = variant.model, variant.model_name, settings
        self._worker, self._referee, self._metrics = worker, referee, metrics
        self._follower: CollectionFollower | None = None
        self._lock = threading.Lock()
        self._reason = ""
        self._num_agreed = self._num_compared = 0
        metrics.show_challenger(is_serving=True)

    def follow(self, follower: CollectionFollower) -> None:
        """Take no part while the collection is behind the champion's."""
        self._follower = follower

    @property
    def is_shadow(self) -> bool:
        """Whether it computes in the background, and never answers."""
        return self._settings.mode == "shadow"

    @property
    def is_sharing(self) -> bool:
        """Whether it answers some of the clients; False after its removal."""
        return not self.is_shadow and not self._reason

    def is_chosen(self, key: str) -> bool:
        """Tell whether it answers the searches of a key; equal keys give equal results."""
        if self.is_shadow or self._find_ready() is None:
            return False
        return draw(key, salt=self.model) < self._settings.share

    async def try_answer(self, ask: Ask) -> Attempt | None:
        """Compute answers within the time limit; return `None` if the challenger takes no part."""
        variant = self._find_ready()
        if variant is None:
            return None
        future = self._worker.submit(partial(attempt, ask, variant.predictor, is_background=False))
        if future is None:  # the queue holds all searches in flight, so abandoned ones fill it
            return Attempt(None, 0.0, "its queue is full of earlier searches")
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._settings.timeout_s)
        except TimeoutError:
            return Attempt(None, self._settings.timeout_s, f"no answer within {self._settings.timeout_s:g} s")
        except StoppedError:
            return None

    def shadow(self, ask: Ask, answers: Sequence[Answer]) -> None:
        """Compute the champion's search in the background, unless the queue is full."""
        if self._reason:
            return
        variant = self._find_ready()
        if variant is None or self._worker.submit(partial(self._compute_shadow, ask, variant, answers)) is None:
            self._metrics.count_shadow("dropped", len(answers))
            if self._worker.measure_busy_s() > HANG_S:
                self.take_out(f"a search is not finished after {HANG_S:.0f} s")

    def observe_champion(self, took_s: float, *, is_error: bool) -> None:
        """Note a computation of the champion, for the comparison."""
        self._referee.observe_champion(took_s, is_error=is_error)

    def observe(self, done: Attempt) -> None:
        """Note a computation of the challenger, and remove it if it is worse than the champion."""
        is_error = done.answers is None
        self._metrics.observe(CHALLENGER, done.took_s, is_error=is_error)
        if is_error:
            logger.warning("the challenger %s failed: %s", self.model, done.reason[:500])
        if fault := self._referee.observe_challenger(done.took_s, is_error=is_error):
            self.take_out(fault)

    def take_out(self, reason: str) -> None:
        """Remove the challenger, and free its memory."""
        with self._lock:
            if self._reason:
                return
            self._reason, self._variant = reason, None
        self._metrics.show_challenger(is_serving=False)
        logger.error("the challenger %s is out until the service starts again: %s", self.model, reason)
        self.stop()

    def stop(self) -> None:
        """Start no more work."""
        self._worker.stop()
        if self._follower:
            self._follower.stop()

    def describe(self) -> ChallengerStatus:
        """Return its status."""
        state: ChallengerState = "out" if self._reason else "behind" if self._find_ready() is None else "serving"
        return ChallengerStatus(
            state=state,
            reason=self._reason,
            model=self.model,
            mode=self._settings.mode,
            share=None if self.is_shadow else self._settings.share,
            agreement=self._num_agreed / self._num_compared if self._num_compared else None,
        )

    def _find_ready(self) -> Variant | None:
        if self._follower is not None and self._follower.is_behind:
            return None
        return self._variant

    def _compute_shadow(self, ask: Ask, variant: Variant, answers: Sequence[Answer]) -> None:
        done = attempt(ask, variant.predictor, is_background=True)
        if self._reason:
            return
        if done.answers is not None:
            self._compare(answers, done.answers)
        self.observe(done)

    def _compare(self, answers: Sequence[Answer], own: Sequence[Answer]) -> None:
        num_agreed = sum(map(agree, answers, own))
        with self._lock:
            self._num_agreed += num_agreed
            self._num_compared += len(answers)
        self._metrics.count_shadow("agreed", num_agreed)
        self._metrics.count_shadow("differed", len(answers) - num_agreed)


def draw(key: str, *, salt: str) -> float:
    """Hash a key and a salt into a number in [0, 1), evenly spread over keys."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48

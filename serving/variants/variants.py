"""Choice of the variant that answers a search: the champion, or a challenger in its place or behind it."""

import time

import anyio
import anyio.to_thread

from search.answers import Answer
from serving.variants.challenger import Challenger
from serving.variants.metrics import VariantMetrics
from serving.variants.status import ChallengerStatus
from serving.variants.variant import CHALLENGER, CHAMPION, Answered, Ask, Variant

THREADS = 4  # searches that each variant computes at once; each network is bounded to its own threads


class Variants:
    """The champion and an optional challenger. A search is answered even if the challenger fails."""

    def __init__(
        self, champion: Variant, metrics: VariantMetrics, *, challenger: Challenger | None = None, refusal: str = ""
    ) -> None:
        """Let a challenger take part, or state in `refusal` why the named one does not."""
        self._champion, self._challenger, self._refusal, self._metrics = champion, challenger, refusal, metrics
        self._champion_names = (champion.name, champion.model, champion.model_name)
        self._computing = anyio.CapacityLimiter(THREADS)
        if refusal:
            metrics.show_challenger(is_serving=False)

    async def answer(self, ask: Ask, *, key: str | None) -> Answered:
        """Return the answers to a search. `key` keeps a client on one variant; `None` asks the champion.

        Raises:
            KeyError: as the champion's search.
            ValueError: as the champion's search.
        """
        challenger = self._challenger
        if challenger is None or key is None or not challenger.is_chosen(key):
            answers = await self._ask_champion(ask)
            if challenger is not None and key is not None and challenger.is_shadow:
                challenger.shadow(ask, answers)
            return Answered(answers, *self._champion_names)
        done = await challenger.try_answer(ask)
        if done is not None and done.answers is not None:
            challenger.observe(done)
            return Answered(done.answers, CHALLENGER, challenger.model, challenger.model_name)
        answers = await self._ask_champion(ask)  # if the champion refuses the search as well, the search is at fault
        if done is not None:
            challenger.observe(done)
        return Answered(answers, *self._champion_names)

    @property
    def is_shared(self) -> bool:
        """Whether a challenger answers some of the clients."""
        return self._challenger is not None and self._challenger.is_sharing

    def describe_challenger(self) -> ChallengerStatus | None:
        """Return the status of the challenger, `None` if none was named."""
        if self._refusal:
            return ChallengerStatus("refused", self._refusal)
        return self._challenger.describe() if self._challenger else None

    def stop(self) -> None:
        """Let the challenger start no more work."""
        if self._challenger:
            self._challenger.stop()

    async def _ask_champion(self, ask: Ask) -> list[Answer]:
        return await anyio.to_thread.run_sync(self._compute, ask, limiter=self._computing)

    def _compute(self, ask: Ask) -> list[Answer]:
        start_s = time.perf_counter()
        try:
            answers = ask(self._champion.predictor)
        except (KeyError, ValueError):  # the search is at fault
            raise
        except Exception:
            self._observe(time.perf_counter() - start_s, is_error=True)
            raise
        self._observe(time.perf_counter() - start_s, is_error=False)
        return answers

    def _observe(self, took_s: float, *, is_error: bool) -> None:
        self._metrics.observe(CHAMPION, took_s, is_error=is_error)
        if self._challenger:
            self._challenger.observe_champion(took_s, is_error=is_error)

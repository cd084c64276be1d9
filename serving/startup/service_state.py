"""State of a loaded service, which the endpoints answer from."""

from dataclasses import dataclass, field
from typing import IO

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

from search.contracts import Predictor
from search.recall_monitor import RecallMonitor
from serving.api.answer_origins import AnswerOrigins
from serving.api.schemas import SearchAnswer, Versions
from serving.gate.gate import Controls
from serving.library.jobs import JobQueue
from serving.library.journal import Journal
from serving.library.library import VideoLibrary
from serving.startup.settings import Settings
from serving.traffic.log import TrafficLog
from serving.variants.variant import CHAMPION, Answered, Variant
from serving.variants.variants import Variants


@dataclass
class LoadedService:
    """Everything that the endpoints need to answer."""

    settings: Settings
    predictor: Predictor  # the champion's
    variants: Variants
    library: VideoLibrary
    feedback: Journal
    traffic: TrafficLog
    examples: list[str]
    jobs: JobQueue
    recall: RecallMonitor
    lock: IO[str]  # of the state folder, held while this file is open
    origins: AnswerOrigins = field(default_factory=AnswerOrigins)
    encoding: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))  # of single searches

    def describe_versions(self) -> Versions:
        """Return what the champion's answers come from."""
        champion = Variant(CHAMPION, self.predictor)
        return self._describe(Answered([], champion.name, champion.model, champion.model_name))

    def note(self, answered: Answered, *shown: SearchAnswer) -> Versions:
        """Return the versions behind answers, and remember those of the challenger for feedback."""
        versions = self._describe(answered)
        if answered.variant != CHAMPION:
            for answer in shown:
                self.origins.note(answer.answer_id, versions)
        return versions

    def _describe(self, answered: Answered) -> Versions:
        name, revision = answered.model_name.name, answered.model_name.revision
        return Versions(
            model=answered.model,
            model_name=name,
            model_revision=revision,
            index=self.library.version,
            variant=answered.variant,
        )

    def close(self) -> None:
        """Stop all work, and unlock the state folder."""
        self.recall.stop()
        self.variants.stop()
        self.traffic.stop()
        self.give_state()

    def give_state(self) -> None:
        """Stop all work on the state folder and unlock it. Searches go on, and are logged: each process has its own segments."""
        self.jobs.stop()
        self.jobs.join()
        self.feedback.close()
        self.library.close()
        self.lock.close()


@dataclass
class ServiceState:
    """State of a process: the controls from its start, and the loaded service once it is verified."""

    controls: Controls
    loaded: LoadedService | None = None
    failure: str = ""

    def require_loaded(self) -> LoadedService:
        """Return the loaded service.

        Raises:
            HTTPException: 503 until the service is loaded.
        """
        if self.loaded is None:
            message = "the service could not load its files; its log says why" if self.failure else "the files are being verified"
            raise HTTPException(503, f"{message}; try again later", {"Retry-After": "5"})
        return self.loaded


async def get_loaded(request: Request) -> LoadedService:
    """Return the loaded service, as a dependency of endpoints.

    Raises:
        HTTPException: 503 until the service is loaded.
    """
    state: ServiceState = request.app.state.service
    return state.require_loaded()

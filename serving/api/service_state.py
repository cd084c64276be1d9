"""What the endpoints answer from, once it is loaded."""

from dataclasses import dataclass, field
from typing import IO

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

from serving.api.answer_origins import AnswerOrigins
from serving.api.gate import Controls
from serving.api.schemas import SearchAnswer, Versions
from serving.api.settings import Settings
from serving.library.jobs import JobQueue
from serving.library.journal import Journal
from serving.library.library import VideoLibrary
from serving.predictor import MomentPredictor
from serving.recall_monitor import RecallMonitor
from serving.variants.variant import CHAMPION, Answered
from serving.variants.variants import Variants


@dataclass
class LoadedService:
    """All that answers come from."""

    settings: Settings
    predictor: MomentPredictor  # the champion's
    variants: Variants
    library: VideoLibrary
    feedback: Journal
    examples: list[str]
    jobs: JobQueue
    recall: RecallMonitor
    lock: IO[str]  # of the state folder; it is held as long as this file is open
    origins: AnswerOrigins = field(default_factory=AnswerOrigins)
    encoding: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))  # of videos asked about once

    def describe_versions(self) -> Versions:
        """Return what the champion's answers come from."""
        return Versions(model=self.predictor.bundle.version[:12], index=self.library.version, variant=CHAMPION)

    def note(self, answered: Answered, *shown: SearchAnswer) -> Versions:
        """Return what answers come from, and remember those of the challenger for feedback on them."""
        versions = Versions(model=answered.model, index=self.library.version, variant=answered.variant)
        if answered.variant != CHAMPION:
            for answer in shown:
                self.origins.note(answer.answer_id, versions)
        return versions

    def close(self) -> None:
        """Leave work on uploads undone, and the state folder to others."""
        self.recall.stop()
        self.variants.stop()
        self.jobs.stop()
        self.feedback.close()
        self.lock.close()


@dataclass
class ServiceState:
    """What a process has: from its start the controls, and what it serves when that is verified and loaded."""

    controls: Controls
    loaded: LoadedService | None = None
    failure: str = ""

    def require_loaded(self) -> LoadedService:
        """Return what is served.

        Raises:
            HTTPException: 503 until it is loaded.
        """
        if self.loaded is None:
            message = "the service could not load its files; its log says why" if self.failure else "the files are being verified"
            raise HTTPException(503, f"{message}; ask again later", {"Retry-After": "5"})
        return self.loaded


async def get_loaded(request: Request) -> LoadedService:
    """Return what is served; for endpoints.

    Raises:
        HTTPException: 503 until it is loaded.
    """
    state: ServiceState = request.app.state.service
    return state.require_loaded()

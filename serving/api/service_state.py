"""What the endpoints answer from, once it is loaded."""

from dataclasses import dataclass, field
from typing import IO, NamedTuple

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

from serving.api.gate import Controls
from serving.api.schemas import Versions
from serving.api.settings import Settings
from serving.library.jobs import JobQueue
from serving.library.journal import Journal
from serving.library.library import VideoLibrary
from serving.predictor import MomentPredictor

THREADS = 4  # searches computed at once; each network is bounded to its own threads


class Variant(NamedTuple):
    """Models that answer, and the name under which they do."""

    name: str
    predictor: MomentPredictor


@dataclass
class LoadedService:
    """All that answers come from."""

    settings: Settings
    variant: Variant
    library: VideoLibrary
    feedback: Journal
    examples: list[str]
    jobs: JobQueue
    lock: IO[str]  # of the state folder; it is held as long as this file is open
    computing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(THREADS))
    encoding: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))  # of videos asked about once

    @property
    def predictor(self) -> MomentPredictor:
        """The models that answer."""
        return self.variant.predictor

    def describe_versions(self) -> Versions:
        """Return what an answer comes from."""
        model = self.variant.predictor.bundle.version[:12]
        return Versions(model=model, index=self.library.version, variant=self.variant.name)

    def close(self) -> None:
        """Leave work on uploads undone, and the state folder to others."""
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


def get_loaded(request: Request) -> LoadedService:
    """Return what is served; for endpoints.

    Raises:
        HTTPException: 503 until it is loaded.
    """
    state: ServiceState = request.app.state.service
    return state.require_loaded()

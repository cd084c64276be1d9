"""The search service: BentoML around the predictor, and nothing of retrieval in it.

Start it on loopback: bentoml serve serving.service:CuepointService --host 127.0.0.1 --port 3000
"""

import logging
import threading
from typing import Annotated

import bentoml
from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, BaseModel, Field

from serving.answers import MAX_QUERY_CHARACTERS, MAX_TOP_K, SearchQuery, require_query
from serving.body_limit import BodyLimit
from serving.media import MediaLibrary, build_media_app
from serving.orphan import end_with_parent
from serving.places import find_places
from serving.predictor import MomentPredictor

MAX_BODY_BYTES = 64 * 1024
THREADS = 4  # requests computed at once; each network is bounded to its own threads
MAX_CONCURRENCY = 32  # requests in flight; more are answered with 429

logger = logging.getLogger("bentoml.cuepoint")
media_app = build_media_app()


class FoundMoment(BaseModel):
    """One answer: a span of a video, `score` higher is better."""

    video_id: str
    start_s: float = Field(description="seconds from the start of the video")
    end_s: float
    score: float


def _check_query(query: str) -> str:
    require_query(query)
    return query


@bentoml.asgi_app(media_app, path="/", name="media")
@bentoml.service(name="cuepoint", threads=THREADS, traffic={"timeout": 30, "max_concurrency": MAX_CONCURRENCY})
class CuepointService:
    """Finds the moments of a video collection that a sentence describes."""

    def __init__(self) -> None:
        """Start to verify and load the collection; until that is done the service is alive, but not ready."""
        self._predictor: MomentPredictor | None = None
        self._failure: str | None = None
        end_with_parent()
        threading.Thread(target=self._load, name="load", daemon=True).start()

    @bentoml.api  # type: ignore[untyped-decorator]
    def search(
        self,
        query: Annotated[str, MaxLen(MAX_QUERY_CHARACTERS), AfterValidator(_check_query)] = Field(
            description="a sentence about what happens", examples=["the red circle moves right"]
        ),
        top_k: Annotated[int, Ge(1), Le(MAX_TOP_K)] = 5,
    ) -> list[FoundMoment]:
        """Return the best moments of the collection for a sentence, best first."""
        (answer,) = self._require_predictor().search(SearchQuery(query, top_k))
        return [FoundMoment(**moment._asdict()) for moment in answer.moments]

    def __is_ready__(self) -> bool:  # noqa: PLW3201 # BentoML's name
        """Tell whether every file was verified and loaded."""
        return self._predictor is not None

    def __is_alive__(self) -> bool:  # noqa: PLW3201 # BentoML's name
        """Tell whether the process is worth keeping: it is not when its files were refused."""
        return self._failure is None

    def _load(self) -> None:
        try:
            places = find_places()
            predictor = MomentPredictor.load(places.bundle_dir, places.index_dir, num_threads=places.num_threads)
            predictor.search(SearchQuery("warm up", 1))
        except (ValueError, OSError) as error:
            self._failure = str(error)
            logger.error("the service cannot answer: %s", error)
            return
        collection = predictor.collection
        media_app.state.library = MediaLibrary(collection, places.find_media_dir(collection), places.thumbnails_dir)
        self._predictor = predictor
        logger.info("ready: bundle %s, %d videos", predictor.bundle.version[:12], len(collection.videos))

    def _require_predictor(self) -> MomentPredictor:
        if self._predictor is None:
            raise bentoml.exceptions.ServiceUnavailable(self._failure or "the collection is still being verified")
        return self._predictor


CuepointService.add_asgi_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)  # type: ignore[attr-defined] # the decorator gives it

"""The endpoints that look for sentences."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from serving.answers import MAX_QUERY_CHARACTERS, MAX_TOP_K, Answer, SearchQuery
from serving.api.errors import describe_faults
from serving.api.json_route import JsonRoute
from serving.api.multipart import receive_form
from serving.api.openapi import FORM_REFUSALS, REFUSALS, describe_form
from serving.api.presentation import build_answer, build_timeline
from serving.api.schemas import (
    BatchAnswer,
    BatchRequest,
    Limits,
    LocalizeAnswer,
    LocalizeRequest,
    OnceFields,
    OneAnswer,
    SearchRequest,
)
from serving.api.service_state import LoadedService, get_loaded
from serving.indexing import EncodedVideo
from serving.library.catalogue import Brief
from serving.library.once import encode_once
from serving.library.uploads import ORIGINAL, clean_title

R = TypeVar("R")
Loaded = Annotated[LoadedService, Depends(get_loaded)]

COMPUTE_LIMIT_S = 30.0
_ONCE_FORM = describe_form(
    query={"type": "string", "minLength": 1, "maxLength": MAX_QUERY_CHARACTERS},
    top_k={"type": "integer", "minimum": 1, "maximum": MAX_TOP_K, "default": 5},
)
router = APIRouter(route_class=JsonRoute, tags=["search"], responses=REFUSALS)
upload_router = APIRouter(tags=["search"], responses=REFUSALS)


@router.post("/search")
async def search(asked: SearchRequest, loaded: Loaded) -> OneAnswer:
    """Return the best moments of the collection for a sentence, best first, or the best guess where none is good enough."""
    start_s = time.perf_counter()
    (answer,) = await _compute(loaded, lambda: loaded.predictor.search([_build_query(asked.query, asked)]))
    shown = build_answer(asked.query, answer, loaded.library.find_brief)
    return OneAnswer(**dict(shown), versions=loaded.describe_versions(), took_ms=_measure_ms(start_s))


@router.post("/search/batch")
async def search_batch(asked: BatchRequest, loaded: Loaded) -> BatchAnswer:
    """Answer several sentences at once, which takes less time than one after the other."""
    start_s = time.perf_counter()
    queries = [_build_query(query, asked) for query in asked.queries]
    answers = await _compute(loaded, lambda: loaded.predictor.search(queries))
    shown = [build_answer(one.query, answer, loaded.library.find_brief) for one, answer in zip(queries, answers, strict=True)]
    return BatchAnswer(answers=shown, versions=loaded.describe_versions(), took_ms=_measure_ms(start_s))


@router.post("/localize")
async def localize(asked: LocalizeRequest, loaded: Loaded) -> LocalizeAnswer:
    """Return the best moments of one video for a sentence, and how well it fits over the time of the video."""
    start_s = time.perf_counter()
    answer = await _compute(loaded, lambda: loaded.predictor.localize(asked.query, asked.video_id, asked.top_k))
    return _build_localized(asked.query, answer, loaded, loaded.library.find_brief, start_s)


@upload_router.post("/localize/upload", openapi_extra=_ONCE_FORM, responses=FORM_REFUSALS)
async def localize_upload(request: Request, loaded: Loaded) -> LocalizeAnswer:
    """Return the best moments of a video that is sent along and not kept."""
    start_s = time.perf_counter()
    library = loaded.library
    library.require_encoder()
    if loaded.encoding.available_tokens == 0:
        raise HTTPException(429, "another video is being encoded for its only question; ask again", {"Retry-After": "5"})
    folder = await anyio.to_thread.run_sync(library.store.start)
    path = folder / ORIGINAL
    try:
        form = await receive_form(request, path, max_bytes=loaded.settings.max_upload_bytes, fields=frozenset({"query", "top_k"}))
        asked = _parse_fields(form.fields)
        encoded = await _encode_once(loaded, path, form.file.sha256)
    finally:
        library.store.discard(folder)
    answer = await _compute(loaded, lambda: loaded.predictor.localize_encoded(asked.query, encoded, asked.top_k))
    brief = Brief(clean_title(form.file.name), encoded.duration_s, 0)
    return _build_localized(asked.query, answer, loaded, lambda _: brief, start_s)


async def _compute(loaded: LoadedService, compute: Callable[[], R]) -> R:
    """Run a computation in one of the service's threads; wait for one no longer than an answer may take."""
    try:
        with anyio.fail_after(COMPUTE_LIMIT_S):
            return await anyio.to_thread.run_sync(compute, limiter=loaded.computing)
    except TimeoutError as error:
        raise HTTPException(429, "the service has more to do than it can in time; ask again", {"Retry-After": "5"}) from error
    except ConnectionError as error:
        raise HTTPException(503, "the index of the clips does not answer; ask again", {"Retry-After": "5"}) from error
    except KeyError as error:
        raise HTTPException(404, str(error.args[0])) from error
    except ValueError as error:
        raise HTTPException(400, str(error)) from error


async def _encode_once(loaded: LoadedService, path: Path, sha256: str) -> EncodedVideo:
    work = loaded.library.build_single_work(path, sha256)
    try:
        return await anyio.to_thread.run_sync(encode_once, work, path, limiter=loaded.encoding)
    except ValueError as error:
        raise HTTPException(400, f"the video cannot be searched: {error}") from error


def _parse_fields(fields: dict[str, str]) -> OnceFields:
    try:
        return OnceFields.model_validate(fields)
    except ValidationError as error:
        raise HTTPException(400, describe_faults(error.errors())) from error


def _build_query(query: str, limits: Limits) -> SearchQuery:
    video_ids = frozenset(limits.video_ids) if limits.video_ids is not None else None
    return SearchQuery(query, limits.top_k, video_ids, limits.min_score, limits.min_confidence)


def _build_localized(
    query: str, answer: Answer, loaded: LoadedService, find_brief: Callable[[str], Brief], start_s: float
) -> LocalizeAnswer:
    shown = build_answer(query, answer, find_brief)
    timeline = build_timeline(answer, find_brief)
    versions = loaded.describe_versions()
    return LocalizeAnswer(**dict(shown), timeline=timeline, versions=versions, took_ms=_measure_ms(start_s))


def _measure_ms(start_s: float) -> float:
    return round(1000 * (time.perf_counter() - start_s), 3)

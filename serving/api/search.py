"""Endpoints that search for sentences."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from search.answers import MAX_QUERY_CHARACTERS, MAX_TOP_K, SearchQuery
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
from serving.gate.client_key import find_client_key
from serving.library.catalogue import Brief
from serving.library.once import encode_once
from serving.library.uploads import ORIGINAL, clean_title
from serving.startup.service_state import LoadedService, get_loaded
from serving.variants.variant import Answered, Ask

Loaded = Annotated[LoadedService, Depends(get_loaded)]

COMPUTE_LIMIT_S = 30.0
_ONCE_FORM = describe_form(
    query={"type": "string", "minLength": 1, "maxLength": MAX_QUERY_CHARACTERS},
    top_k={"type": "integer", "minimum": 1, "maximum": MAX_TOP_K, "default": 5},
)
router = APIRouter(route_class=JsonRoute, tags=["search"], responses=REFUSALS)
upload_router = APIRouter(tags=["search"], responses=REFUSALS)


@router.post("/search")
async def search(asked: SearchRequest, loaded: Loaded, request: Request) -> OneAnswer:
    """Return the best moments of the collection for a sentence, best first, or a best guess if none reaches the threshold."""
    start_s = time.perf_counter()
    query = _build_query(asked.query, asked)
    answered = await _compute(loaded, lambda models: models.search(query), key=find_client_key(request, asked.query))
    if asked.video_ids is None:
        loaded.recall.observe(asked.query)
    shown = build_answer(asked.query, answered.answers[0], loaded.library.find_brief)
    versions, took_ms = loaded.note(answered, shown), _measure_ms(start_s)
    loaded.traffic.note(shown, endpoint="search", versions=versions, took_ms=took_ms, is_limited=_is_limited(asked))
    return OneAnswer(**dict(shown), versions=versions, took_ms=took_ms)


@router.post("/search/batch")
async def search_batch(asked: BatchRequest, loaded: Loaded, request: Request) -> BatchAnswer:
    """Answer several sentences at once, which is faster than one by one."""
    start_s = time.perf_counter()
    queries = [_build_query(query, asked) for query in asked.queries]
    key = find_client_key(request, asked.queries[0])
    answered = await _compute(loaded, lambda models: models.search(queries), key=key)
    pairs = zip(queries, answered.answers, strict=True)
    shown = [build_answer(one.query, answer, loaded.library.find_brief) for one, answer in pairs]
    versions, took_ms = loaded.note(answered, *shown), _measure_ms(start_s)
    loaded.traffic.note(*shown, endpoint="batch", versions=versions, took_ms=took_ms, is_limited=_is_limited(asked))
    return BatchAnswer(answers=shown, versions=versions, took_ms=took_ms)


@router.post("/localize")
async def localize(asked: LocalizeRequest, loaded: Loaded, request: Request) -> LocalizeAnswer:
    """Return the best moments of one video for a sentence, and the fit of the sentence over time."""
    start_s = time.perf_counter()
    key = find_client_key(request, asked.query)
    answered = await _compute(loaded, lambda models: [models.localize(asked.query, asked.video_id, asked.top_k)], key=key)
    found = _build_localized(asked.query, answered, loaded, loaded.library.find_brief, start_s)
    loaded.traffic.note(found, endpoint="localize", versions=found.versions, took_ms=found.took_ms, is_limited=True)
    return found


@upload_router.post("/localize/upload", openapi_extra=_ONCE_FORM, responses=FORM_REFUSALS)
async def localize_upload(request: Request, loaded: Loaded) -> LocalizeAnswer:
    """Return the best moments of a video that is sent with the sentence and not kept."""
    start_s = time.perf_counter()
    library = loaded.library
    library.require_encoder()
    if loaded.encoding.available_tokens == 0:
        raise HTTPException(429, "another video is being encoded for a single search; try again", {"Retry-After": "5"})
    folder = await anyio.to_thread.run_sync(library.store.start)
    path = folder / ORIGINAL
    try:
        form = await receive_form(request, path, max_bytes=loaded.settings.max_upload_bytes, fields=frozenset({"query", "top_k"}))
        asked = _parse_fields(form.fields)
        encoded = await _encode_once(loaded, path, form.file.sha256)
    finally:
        library.store.discard(folder)
    answered = await _compute(loaded, lambda models: [models.localize_encoded(asked.query, encoded, asked.top_k)])
    brief = Brief(clean_title(form.file.name), encoded.duration_s, 0)
    found = _build_localized(asked.query, answered, loaded, lambda _: brief, start_s)
    loaded.traffic.note(found, endpoint="upload", versions=found.versions, took_ms=found.took_ms, is_limited=True)
    return found


async def _compute(loaded: LoadedService, ask: Ask, *, key: str | None = None) -> Answered:
    """Let a variant answer within the time limit. Without a key, the champion answers."""
    try:
        with anyio.fail_after(COMPUTE_LIMIT_S):
            return await loaded.variants.answer(ask, key=key)
    except TimeoutError as error:
        raise HTTPException(429, "the service is too busy to answer in time; try again", {"Retry-After": "5"}) from error
    except ConnectionError as error:
        raise HTTPException(503, "the clip index does not answer; try again", {"Retry-After": "5"}) from error
    except KeyError as error:
        raise HTTPException(404, str(error.args[0])) from error
    except ValueError as error:
        raise HTTPException(400, str(error)) from error


async def _encode_once(loaded: LoadedService, path: Path, sha256: str) -> Any:
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


def _is_limited(asked: Limits) -> bool:
    """Tell whether a client limited the videos or the moments of its answer."""
    return any(limit is not None for limit in (asked.video_ids, asked.min_score, asked.min_confidence))


def _build_localized(
    query: str, answered: Answered, loaded: LoadedService, find_brief: Callable[[str], Brief], start_s: float
) -> LocalizeAnswer:
    (answer,) = answered.answers
    shown = build_answer(query, answer, find_brief)
    timeline, versions = build_timeline(answer, find_brief), loaded.note(answered, shown)
    return LocalizeAnswer(**dict(shown), timeline=timeline, versions=versions, took_ms=_measure_ms(start_s))


def _measure_ms(start_s: float) -> float:
    return round(1000 * (time.perf_counter() - start_s), 3)

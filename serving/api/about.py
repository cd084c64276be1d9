"""Endpoints for versions, metrics, example sentences and feedback."""

import secrets
import time
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serving.api.json_route import JsonRoute
from serving.api.metrics import ServiceMetrics
from serving.api.openapi import REFUSALS
from serving.api.schemas import ChallengerRow, Examples, FeedbackReceipt, FeedbackRequest, UploadLimits, VersionAnswer
from serving.library.catalogue import LimitError
from serving.startup.service_state import LoadedService, ServiceState, get_loaded

MAX_FEEDBACK_BYTES = 256_000_000

Loaded = Annotated[LoadedService, Depends(get_loaded)]
router = APIRouter(route_class=JsonRoute, tags=["about"], responses=REFUSALS)


@router.post("/feedback", status_code=201)
async def take_feedback(given: FeedbackRequest, loaded: Loaded) -> FeedbackReceipt:
    """Keep a person's verdict on an answer. It is on disk before the response."""
    try:
        loaded.library.find_video(given.video_id)
    except KeyError as error:
        raise HTTPException(404, str(error.args[0])) from error
    if loaded.feedback.measure_bytes() > MAX_FEEDBACK_BYTES:
        raise LimitError("the feedback file is full; its owner must move it away")
    feedback_id = secrets.token_hex(8)
    versions = (loaded.origins.find(given.answer_id) or loaded.describe_versions()).model_dump()
    row = {"feedback_id": feedback_id, "time_s": round(time.time(), 3), **given.model_dump(), "versions": versions}
    await anyio.to_thread.run_sync(loaded.feedback.append, row)
    return FeedbackReceipt(feedback_id=feedback_id)


@router.get("/examples")
async def list_examples(loaded: Loaded) -> Examples:
    """Return sentences to try; none if the collection came without sentences."""
    return Examples(examples=loaded.examples)


@router.get("/version")
async def show_version(loaded: Loaded) -> VersionAnswer:
    """Return the versions of models and index, and the limits on uploads."""
    settings = loaded.settings
    limits = UploadLimits(
        max_upload_mb=settings.max_upload_mb, max_video_s=settings.max_video_s, max_uploads=settings.max_uploads
    )
    challenger = loaded.variants.describe_challenger()
    return VersionAnswer(
        versions=loaded.describe_versions(),
        good_for=loaded.predictor.bundle.good_for,
        num_videos=loaded.library.count_videos(),
        limits=limits,
        challenger=ChallengerRow.model_validate(challenger._asdict()) if challenger else None,
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def show_metrics(request: Request) -> Response:
    """Return counts and latencies by endpoint, the size of the collection and the versions, for Prometheus."""
    state: ServiceState = request.app.state.service
    metrics: ServiceMetrics = state.controls.metrics
    if state.loaded:
        versions = state.loaded.describe_versions()
        metrics.describe_collection(num_videos=state.loaded.library.count_videos(), model=versions.model, index=versions.index)
    return Response(metrics.render(), media_type=ServiceMetrics.content_type)

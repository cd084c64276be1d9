"""Endpoints of videos: list, upload, delete, play, thumbnails."""

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from serving.api.multipart import receive_form
from serving.api.openapi import FORM_REFUSALS, REFUSALS, describe_form
from serving.api.schemas import VideoInPath, VideoList, VideoRow
from serving.library.catalogue import CatalogueEntry
from serving.library.uploads import ORIGINAL
from serving.startup.service_state import LoadedService, get_loaded

MAX_PAGE = 500
_PRIVATE = {"Cache-Control": "private, max-age=3600"}
_TITLE_FORM = describe_form(title={"type": "string", "maxLength": 200})

Loaded = Annotated[LoadedService, Depends(get_loaded)]
router = APIRouter(tags=["videos"], responses=REFUSALS)


@router.get("/videos")
async def list_videos(
    loaded: Loaded,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    search: Annotated[str, Query(max_length=200, description="only videos whose title or id contains this text")] = "",
) -> VideoList:
    """Return a part of the videos: uploads first, newest first, then the collection."""
    entries, total = await anyio.to_thread.run_sync(lambda: loaded.library.list_videos(offset, limit, search=search))
    return VideoList(videos=[_build_row(entry) for entry in entries], total=total, offset=offset, limit=limit)


@router.post("/videos", status_code=202, openapi_extra=_TITLE_FORM, responses=FORM_REFUSALS)
async def upload_video(request: Request, loaded: Loaded) -> VideoRow:
    """Keep a video and index it in the background. It can be searched when its state is ready.

    A file that the service already has is not kept twice; the response describes the existing video.
    """
    library = loaded.library
    library.require_room()
    folder = await anyio.to_thread.run_sync(library.store.start)
    try:
        max_bytes = loaded.settings.max_upload_bytes
        file, fields = await receive_form(request, folder / ORIGINAL, max_bytes=max_bytes, fields=frozenset({"title"}))
        title = fields.get("title") or file.name
        entry = await anyio.to_thread.run_sync(
            lambda: library.accept(folder, title=title, sha256=file.sha256, size_bytes=file.size_bytes)
        )
    finally:
        library.store.discard(folder)
    return _build_row(entry)


@router.get("/videos/{video_id:path}")
async def find_video(video_id: VideoInPath, loaded: Loaded) -> VideoRow:
    """Return the state of a video, and for an upload the progress of its indexing."""
    return _build_row(_find(loaded, video_id))


@router.delete("/videos/{video_id:path}", status_code=204)
async def delete_video(video_id: VideoInPath, loaded: Loaded) -> Response:
    """Delete a video. An upload is erased with everything made from it; others are no longer found or played."""
    _find(loaded, video_id)
    try:
        await anyio.to_thread.run_sync(loaded.library.remove, video_id)
    except KeyError as error:  # another request was faster
        raise HTTPException(404, str(error.args[0])) from error
    return Response(status_code=204)


@router.get(
    "/media/{video_id:path}",
    response_class=FileResponse,
    responses={
        200: {"content": {"video/mp4": {}, "video/webm": {}}},
        206: {"description": "The requested range", "content": {"video/mp4": {}, "video/webm": {}}},
        416: {"description": "The range lies outside the file", "content": {"text/plain": {}}},
    },
)
async def play_video(video_id: VideoInPath, loaded: Loaded) -> Response:
    """Return a video in a form that browsers play, with ranges. The response is 503 while it is being converted."""
    try:
        path, media_type = await anyio.to_thread.run_sync(loaded.library.find_media, video_id)
    except (KeyError, FileNotFoundError) as error:
        raise HTTPException(404, str(error.args[0])) from error
    return FileResponse(path, media_type=media_type, headers=_PRIVATE)


@router.get(
    "/thumbnails/{video_id:path}/{number}.jpg", response_class=FileResponse, responses={200: {"content": {"image/jpeg": {}}}}
)
async def show_thumbnail(video_id: VideoInPath, number: int, loaded: Loaded) -> Response:
    """Return a thumbnail of a video, numbered from 0 in order of time."""
    try:
        path = await anyio.to_thread.run_sync(loaded.library.find_thumbnail, video_id, number)
    except (KeyError, FileNotFoundError) as error:
        raise HTTPException(404, str(error.args[0])) from error
    return FileResponse(path, media_type="image/jpeg", headers=_PRIVATE)


def _find(loaded: LoadedService, video_id: str) -> CatalogueEntry:
    try:
        return loaded.library.find_video(video_id)
    except KeyError as error:
        raise HTTPException(404, str(error.args[0])) from error


def _build_row(entry: CatalogueEntry) -> VideoRow:
    return VideoRow.model_validate(entry, from_attributes=True)

"""Videos and thumbnails over HTTP, by video id only: a path never comes from the client."""

import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from serving.collection import Collection

_MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
}
_HEADERS = {"X-Content-Type-Options": "nosniff"}


def name_thumbnail_folder(video_id: str) -> str:
    """Return the folder of a video's thumbnails: a name that is safe for any id."""
    safe = "".join(character if character.isalnum() and character.isascii() else "_" for character in video_id)
    return f"{safe[:48]}-{zlib.crc32(video_id.encode()):08x}"


@dataclass(frozen=True, slots=True)
class MediaLibrary:
    """The files of a collection's videos."""

    collection: Collection
    media_dir: Path
    thumbnails_dir: Path

    def find_video_file(self, video_id: str) -> Path:
        """Return the file of a video.

        Raises:
            KeyError: naming an id that the collection does not hold.
            FileNotFoundError: when the media folder lacks the file.
        """
        relative = PurePosixPath(self.collection.find_video(video_id).path)
        if relative.is_absolute() or ".." in relative.parts:
            raise FileNotFoundError(f"the path of video {video_id!r} leaves the media folder")
        path = self.media_dir / relative
        if not path.is_file():
            raise FileNotFoundError(
                f"the file of video {video_id!r} is not on this server; set CUEPOINT_MEDIA_ROOT to its folder"
            )
        return path

    def find_thumbnail(self, video_id: str, number: int) -> Path:
        """Return a thumbnail of a video, numbered from 0 in the order of time.

        Raises:
            KeyError: naming an id that the collection does not hold.
            FileNotFoundError: when there is no such thumbnail.
        """
        self.collection.find_video(video_id)
        path = self.thumbnails_dir / name_thumbnail_folder(video_id) / f"{number}.jpg"
        if not path.is_file():
            raise FileNotFoundError(f"video {video_id!r} has no thumbnail {number}")
        return path


def build_media_app() -> Starlette:
    """Return the application; it answers 503 until a `MediaLibrary` is put into `state.library`.

    `GET /media/{video_id}` gives the file, with ranges; `GET /thumbnails/{video_id}/{number}.jpg` a picture.
    """
    routes = [
        Route("/media/{video_id:path}", _get_media, methods=["GET"]),
        Route("/thumbnails/{video_id:path}/{number:int}.jpg", _get_thumbnail, methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={KeyError: _not_found, FileNotFoundError: _not_found})
    app.state.library = None
    return app


async def _get_media(request: Request) -> Response:
    library: MediaLibrary | None = request.app.state.library
    if library is None:
        return _not_ready()
    path = library.find_video_file(request.path_params["video_id"])
    media_type = _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
    return FileResponse(path, media_type=media_type, headers=_HEADERS)


async def _get_thumbnail(request: Request) -> Response:
    library: MediaLibrary | None = request.app.state.library
    if library is None:
        return _not_ready()
    path = library.find_thumbnail(request.path_params["video_id"], request.path_params["number"])
    return FileResponse(path, media_type="image/jpeg", headers=_HEADERS)


async def _not_found(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error.args[0])}, status_code=404)


def _not_ready() -> Response:
    return JSONResponse({"error": "the collection is still being verified"}, status_code=503)

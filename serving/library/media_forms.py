"""The media of the collection's videos: their files where browsers play them, converted once where they do not."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from corpus.isolation import Failure, Success
from corpus.media import UndecodableError
from serving.collection import IndexedVideo
from serving.library.catalogue import CatalogueEntry, ConvertingError, MediaFile
from serving.library.jobs import Job, JobQueue
from serving.library.playable import Form, find_form
from serving.library.upload_work import ConvertWork
from serving.thumbnails import name_thumbnail_folder

_MOSTLY_PLAYABLE = frozenset({".mp4", ".m4v", ".mov", ".webm"})


@dataclass(frozen=True, slots=True)
class MediaPlaces:
    """Folders of a collection's media: of its videos, of its thumbnails, and of the converted forms, by their content."""

    media_dir: Path
    thumbnails_dir: Path
    forms_dir: Path


class CollectionMedia:
    """Finds the files of the collection's videos, by id; a path never comes from a client."""

    def __init__(self, places: MediaPlaces, jobs: JobQueue) -> None:
        """Look in these folders; conversions are jobs of the queue."""
        self._places, self._jobs = places, jobs
        self._forms: dict[str, Form] = {}
        self._refused: dict[str, str] = {}
        self._num_thumbnails: dict[str, int] = {}

    def describe(self, video: IndexedVideo) -> CatalogueEntry:
        """Return what is known of a video of the collection without opening its file."""
        reason = self._find_reason(video)
        form = self._forms.get(video.video_id)
        is_quick = form.how == "as_is" if form else PurePosixPath(video.path).suffix.lower() in _MOSTLY_PLAYABLE
        is_there = is_quick or self._name_form(video).is_file()
        return CatalogueEntry(
            video_id=video.video_id,
            title=video.video_id,
            duration_s=video.duration_s,
            origin="collection",
            state="ready",
            progress=1.0,
            reason=reason,
            num_thumbnails=self.count_thumbnails(video.video_id),
            playable="no" if reason else "yes" if is_there else "converting",
        )

    def find_file(self, video: IndexedVideo) -> MediaFile:
        """Return the file that browsers play; where they cannot play the video's own, it is converted.

        Raises:
            FileNotFoundError: saying why there is none.
            ConvertingError: while it is being made.
        """
        if reason := self._find_reason(video):
            raise FileNotFoundError(reason)
        path, form = self._places.media_dir / video.path, self._require_form(video)
        if form.how == "as_is":
            return MediaFile(path, form.media_type)
        target = self._name_form(video)
        if target.is_file():
            return MediaFile(target, form.media_type)
        self._jobs.add(Job(f"convert {video.video_id}", path, ConvertWork(target), partial(self._finish, video)))
        raise ConvertingError(f"video {video.video_id!r} is being converted into a form that browsers play; ask again soon")

    def find_thumbnails(self, video_id: str) -> Path:
        """Return the folder of a video's thumbnails."""
        return self._places.thumbnails_dir / name_thumbnail_folder(video_id)

    def count_thumbnails(self, video_id: str) -> int:
        """Return how many thumbnails a video has."""
        if video_id not in self._num_thumbnails:
            folder = self.find_thumbnails(video_id)
            self._num_thumbnails[video_id] = sum(1 for _ in folder.glob("*.jpg")) if folder.is_dir() else 0
        return self._num_thumbnails[video_id]

    def _find_reason(self, video: IndexedVideo) -> str:
        """Return why a video cannot be played, empty where nothing is known against it."""
        relative = PurePosixPath(video.path)
        if relative.is_absolute() or ".." in relative.parts:
            return f"the path of video {video.video_id!r} leaves the media folder"
        if not video.path or not (self._places.media_dir / relative).is_file():
            return f"the file of video {video.video_id!r} is not on this server; set CUEPOINT_MEDIA_ROOT to its folder"
        return self._refused.get(video.video_id, "")

    def _require_form(self, video: IndexedVideo) -> Form:
        form = self._forms.get(video.video_id)
        if form is None:
            try:
                form = self._forms[video.video_id] = find_form(self._places.media_dir / video.path)
            except UndecodableError as error:
                self._refused[video.video_id] = f"video {video.video_id!r} cannot be played: {error.reason}"
                raise FileNotFoundError(self._refused[video.video_id]) from error
        return form

    def _name_form(self, video: IndexedVideo) -> Path:
        return self._places.forms_dir / f"{video.sha256}.mp4"

    def _finish(self, video: IndexedVideo, outcome: Success[Any] | Failure) -> None:
        if isinstance(outcome, Failure):
            self._refused[video.video_id] = f"video {video.video_id!r} cannot be converted: {outcome.reason}"

"""Media of the collection's videos: original files if browsers play them, else forms that are converted once."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from corpus.isolation import Failure, Success
from corpus.media import UndecodableError
from corpus.media.pictures.thumbnails import name_thumbnail_folder
from corpus.names import find_path
from search.indexed_video import IndexedVideo
from serving.library.catalogue import CatalogueEntry, ConvertingError, MediaFile
from serving.library.jobs import Job, JobQueue
from serving.library.playable import FORMS_VERSION, Form, find_form
from serving.library.upload_work import ConvertWork, name_unfinished

_MOSTLY_PLAYABLE = frozenset({".mp4", ".m4v", ".mov", ".webm"})


@dataclass(frozen=True, slots=True)
class MediaFolders:
    """Folders of a collection's media: videos, thumbnails, and converted forms by their content."""

    media_dir: Path
    thumbnails_dir: Path
    forms_dir: Path


class CollectionMedia:
    """Finds the files of the collection's videos, by id; a path never comes from a client."""

    def __init__(self, places: MediaFolders, jobs: JobQueue) -> None:
        """Use these folders, and delete unfinished conversions of a killed process. New conversions go to the queue."""
        self._places, self._jobs = places, jobs
        for unfinished in places.forms_dir.glob(name_unfinished(Path("*.mp4")).name):
            unfinished.unlink()
        self._forms: dict[str, Form] = {}
        self._refused: dict[str, str] = {}
        self._num_thumbnails: dict[str, int] = {}

    def describe(self, video: IndexedVideo) -> CatalogueEntry:
        """Return the catalogue entry of a video without opening its file."""
        reason = self._find_reason(video)
        form = self._forms.get(video.video_id)
        is_quick = form.how == "as_is" if form else video.is_intact and _is_mostly_playable(video)
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
        """Return the file that browsers play. If they cannot play the original, it is converted.

        Raises:
            FileNotFoundError: saying why there is none.
            ConvertingError: while it is being converted.
        """
        if reason := self._find_reason(video):
            raise FileNotFoundError(reason)
        path, form = self._find_path(video), self._require_form(video)
        if form.how == "as_is":
            return MediaFile(path, form.media_type)
        target = self._name_form(video)
        if target.is_file():
            return MediaFile(target, form.media_type)
        self._jobs.add(Job(_name_job(video), path, ConvertWork(target, form), partial(self._finish, video)))
        raise ConvertingError(f"video {video.video_id!r} is being converted into a form that browsers play; try again soon")

    def stop(self, video: IndexedVideo) -> None:
        """End the conversion of a video, waiting or running, and delete its partial file; a finished form is kept."""
        if self._jobs.cancel(_name_job(video)):
            name_unfinished(self._name_form(video)).unlink(missing_ok=True)

    def find_thumbnails(self, video_id: str) -> Path:
        """Return the folder of a video's thumbnails."""
        return self._places.thumbnails_dir / name_thumbnail_folder(video_id)

    def count_thumbnails(self, video_id: str) -> int:
        """Return the number of thumbnails of a video."""
        if video_id not in self._num_thumbnails:
            folder = self.find_thumbnails(video_id)
            self._num_thumbnails[video_id] = sum(1 for _ in folder.glob("*.jpg")) if folder.is_dir() else 0
        return self._num_thumbnails[video_id]

    def _find_reason(self, video: IndexedVideo) -> str:
        """Return why a video cannot be played, empty if no reason is known."""
        relative = PurePosixPath(video.path)
        if relative.is_absolute() or ".." in relative.parts:
            return f"the path of video {video.video_id!r} leaves the media folder"
        try:
            is_there = bool(video.path) and self._find_path(video).is_file()
        except ValueError as error:
            return f"the file of video {video.video_id!r} is ambiguous: {error}"
        if not is_there:
            return f"the file of video {video.video_id!r} is not on this server; set CUEPOINT_MEDIA_ROOT to its folder"
        return self._refused.get(video.video_id, "")

    def _require_form(self, video: IndexedVideo) -> Form:
        form = self._forms.get(video.video_id)
        if form is None:
            try:
                form = self._forms[video.video_id] = find_form(self._find_path(video), is_intact=video.is_intact)
            except UndecodableError as error:
                self._refused[video.video_id] = f"video {video.video_id!r} cannot be played: {error.reason}"
                raise FileNotFoundError(self._refused[video.video_id]) from error
        return form

    def _find_path(self, video: IndexedVideo) -> Path:
        """Return the path of a video's file. A moved folder may spell its name in another Unicode form."""
        return find_path(self._places.media_dir, video.path)

    def _name_form(self, video: IndexedVideo) -> Path:
        return self._places.forms_dir / f"{video.sha256}.mp4"

    def _finish(self, video: IndexedVideo, outcome: Success[Any] | Failure) -> None:
        if isinstance(outcome, Failure):
            self._refused[video.video_id] = f"video {video.video_id!r} cannot be converted: {outcome.reason}"


def _name_job(video: IndexedVideo) -> str:
    return f"convert {video.video_id}"


def prepare_forms(folder: Path) -> Path:
    """Return the folder of the forms of this version, and delete forms of other versions from `folder`.

    Raises:
        OSError: when they cannot be deleted.
    """
    current = folder / FORMS_VERSION
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and path != current:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    return current


def _is_mostly_playable(video: IndexedVideo) -> bool:
    """Tell from the name of a file whether browsers probably play it; opening every file of a list takes too long."""
    return PurePosixPath(video.path).suffix.lower() in _MOSTLY_PLAYABLE

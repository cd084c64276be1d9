"""Work on one file in a separate process, so that hostile bytes can end that process and nothing else."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from corpus.isolation import Report
from corpus.media import UndecodableError, probe
from corpus.media.pictures.thumbnails import save_thumbnails
from search.indexing.encode_work import EncodeWork, KeepWork
from serving.library.playable import Form, find_form, write_playable
from serving.library.uploads import PLAYABLE

_NICENESS = 10  # searches go first
_ENCODING_SHARE = 0.7  # of the time of an upload


class DoneUpload(NamedTuple):
    """The playable form of an upload."""

    media_name: str  # the file that browsers play, empty if there is none
    media_type: str
    reason: str  # why there is none


@dataclass(frozen=True, slots=True)
class UploadWork:
    """Encodes an upload into the cache, and writes its thumbnails and playable form into its folder."""

    keep: KeepWork
    max_video_s: float
    num_thumbnails: int

    def __call__(self, path: Path, report: Report) -> DoneUpload:
        """Work on one file.

        Raises:
            ValueError: saying why the file is refused.
            OSError: when something cannot be read or written.
        """
        yield_to_searches()
        require_duration(path, self.max_video_s)
        notes = self.keep(path, lambda share: report(_ENCODING_SHARE * share))
        save_thumbnails(path, path.parent, count=self.num_thumbnails)
        try:
            form = find_form(path, is_intact=not notes)
            if form.how == "as_is":
                return DoneUpload(path.name, form.media_type, "")
            write_form(path, path.parent / PLAYABLE, form, lambda share: report(_ENCODING_SHARE + (1 - _ENCODING_SHARE) * share))
        except UndecodableError as error:
            return DoneUpload("", "", f"browsers cannot play it: {error.reason}")
        return DoneUpload(PLAYABLE, form.media_type, "")


@dataclass(frozen=True, slots=True)
class EncodeOnce:
    """Encodes a file for a single search, without keeping it."""

    encode: EncodeWork
    max_video_s: float

    def __call__(self, path: Path, report: Report) -> Any:
        """Encode one file.

        Raises:
            ValueError: saying why the file is refused.
            OSError: when it cannot be read.
        """
        require_duration(path, self.max_video_s)
        return self.encode(path, report)


@dataclass(frozen=True, slots=True)
class ConvertWork:
    """Writes the playable form of a file of the collection."""

    target: Path
    form: Form

    def __call__(self, path: Path, report: Report) -> None:
        """Write the form of one file.

        Raises:
            ValueError: saying why there is none.
            OSError: when something cannot be read or written.
        """
        yield_to_searches()
        try:
            write_form(path, self.target, self.form, report)
        except UndecodableError as error:
            raise ValueError(error.reason) from error


def yield_to_searches() -> None:
    """Lower the priority below searches, and ignore SIGTERM, after which the service still finishes its requests."""
    os.nice(_NICENESS)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def write_form(path: Path, target: Path, form: Form, report: Report) -> None:
    """Write a playable form completely or not at all."""
    unfinished = name_unfinished(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_playable(path, unfinished, form, report=report)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)


def name_unfinished(target: Path) -> Path:
    """Return the temporary file of a playable form that is being written."""
    return target.with_name(f".{target.name}.tmp")


def require_duration(path: Path, max_video_s: float) -> None:
    """Refuse a video that is too long, or claims to be, before any work on it.

    Raises:
        ValueError: naming its duration and the limit, or why it cannot be decoded.
    """
    try:
        duration_s = probe(path).duration_s
    except UndecodableError as error:
        raise ValueError(error.reason) from error
    if duration_s > max_video_s:
        raise ValueError(f"it is {duration_s:.0f} s long, but the limit is {max_video_s:.0f} s; cut it into shorter files")

"""What is done for a file in a process of its own: hostile bytes can end that process, and nothing else."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from corpus.isolation import Report
from corpus.media import UndecodableError, probe
from serving.encode_work import EncodeWork, KeepWork
from serving.indexing import EncodedVideo
from serving.library.playable import Form, find_form, write_playable
from serving.library.uploads import PLAYABLE
from serving.thumbnails import save_thumbnails

_NICENESS = 10  # searches go first
_ENCODING_SHARE = 0.7  # of the time that an upload takes


class DoneUpload(NamedTuple):
    """What was made of an upload, beside what the index holds of it."""

    media_name: str  # the file that browsers play, empty where there is none
    media_type: str
    reason: str  # why there is none


@dataclass(frozen=True, slots=True)
class UploadWork:
    """Encodes an upload into the cache, draws its thumbnails and writes its playable form into its own folder."""

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
        self.keep(path, lambda share: report(_ENCODING_SHARE * share))
        save_thumbnails(path, path.parent, count=self.num_thumbnails)
        try:
            form = find_form(path)
            if form.how == "as_is":
                return DoneUpload(path.name, form.media_type, "")
            write_form(path, path.parent / PLAYABLE, form, lambda share: report(_ENCODING_SHARE + (1 - _ENCODING_SHARE) * share))
        except UndecodableError as error:
            return DoneUpload("", "", f"browsers cannot play it: {error.reason}")
        return DoneUpload(PLAYABLE, form.media_type, "")


@dataclass(frozen=True, slots=True)
class EncodeOnce:
    """Encodes a file that is asked about once and not kept."""

    encode: EncodeWork
    max_video_s: float

    def __call__(self, path: Path, report: Report) -> EncodedVideo:
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

    def __call__(self, path: Path, report: Report) -> Form:
        """Write it.

        Raises:
            ValueError: saying why there is none.
            OSError: when something cannot be read or written.
        """
        yield_to_searches()
        try:
            form = find_form(path)
            write_form(path, self.target, form, report)
        except UndecodableError as error:
            raise ValueError(error.reason) from error
        return form


def yield_to_searches() -> None:
    """Let searches go first, and end with the service, not with the signal that asks it to finish its requests."""
    os.nice(_NICENESS)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def write_form(path: Path, target: Path, form: Form, report: Report) -> None:
    """Write a playable form whole or not at all."""
    unfinished = target.with_name(f".{target.name}.tmp")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_playable(path, unfinished, form, report=report)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)


def require_duration(path: Path, max_video_s: float) -> None:
    """Refuse a video that is, or claims to be, too long, before anything is done with it.

    Raises:
        ValueError: naming its duration and the limit, or why it cannot be decoded.
    """
    try:
        duration_s = probe(path).duration_s
    except UndecodableError as error:
        raise ValueError(error.reason) from error
    if duration_s > max_video_s:
        raise ValueError(f"it is {duration_s:.0f} s long, at most {max_video_s:.0f} s are taken; cut it into shorter files")

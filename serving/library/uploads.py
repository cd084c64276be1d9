"""Uploads on disk: each a folder that is there whole or not at all, from its arrival to its deletion.

`<state>/uploads/<id>/` holds `original`, the file as it came, `record.json`, which says what it is, and, when it is
indexed or refused, thumbnails, a playable form and, last, `result.json`. What is on its way lies in `<state>/incoming/`.
"""

import os
import re
import secrets
import shutil
import unicodedata
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from corpus.files import read_json, write_json
from serving.library.journal import sync_folder

ORIGINAL, PLAYABLE = "original", "playable.mp4"
_UPLOADS = "uploads"
_RECORD, _RESULT = "record.json", "result.json"
_ID = re.compile(r"upload-[0-9a-f]{16}")
_MAX_TITLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """What was uploaded; `number` counts uploads, so that they have an order."""

    video_id: str
    title: str
    sha256: str
    size_bytes: int
    number: int


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What became of an upload. `reason` says why it was refused, or why it has no playable form."""

    state: Literal["ready", "failed"]
    reason: str = ""
    duration_s: float = 0.0
    num_thumbnails: int = 0
    media_name: str = ""  # of the file that browsers play, empty where there is none
    media_type: str = ""


class UploadStore:
    """The uploads of a state folder; one process at a time may use it."""

    def __init__(self, state_dir: Path) -> None:
        """Open or create the folder, and remove what a killed process left unfinished.

        Raises:
            OSError: when it cannot be written.
        """
        self._folder, self._incoming = state_dir / _UPLOADS, state_dir / "incoming"
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir()
        for path in self._folder.iterdir():
            if not (path / _RECORD).is_file():  # what a worker wrote for an upload that was removed meanwhile
                shutil.rmtree(path)
        self._next_number = 1 + max((record.number for record in self.read_records()), default=0)

    def start(self) -> Path:
        """Return a new folder for a file on its way; it is to be named `original`."""
        folder = self._incoming / secrets.token_hex(8)
        folder.mkdir()
        return folder

    def discard(self, folder: Path) -> None:
        """Remove what `start` gave."""
        shutil.rmtree(folder, ignore_errors=True)

    def accept(self, folder: Path, *, title: str, sha256: str, size_bytes: int) -> UploadRecord:
        """Keep a file that has arrived and is on disk; when this returns, it survives a crash.

        A content has one id, so that a file that is sent twice is kept once; a refused one is tried again.

        Raises:
            OSError: when it cannot be written.
        """
        record = UploadRecord(name_upload(sha256), clean_title(title), sha256, size_bytes, self._next_number)
        self._next_number += 1
        write_json(folder / _RECORD, asdict(record))
        sync_folder(folder)
        self.remove(record.video_id)
        folder.rename(self._folder / record.video_id)
        sync_folder(self._folder)
        return record

    def remove(self, video_id: str) -> None:
        """Forget an upload; when this returns, that survives a crash."""
        folder = self.find_folder(video_id)
        if folder.is_dir():
            doomed = self._incoming / secrets.token_hex(8)
            folder.rename(doomed)
            sync_folder(self._folder)
            shutil.rmtree(doomed, ignore_errors=True)

    def find_folder(self, video_id: str) -> Path:
        """Return the folder of an upload.

        Raises:
            KeyError: when this is no id of an upload.
        """
        if not _ID.fullmatch(video_id):
            raise KeyError(f"{video_id!r} is no id of an upload")
        return self._folder / video_id

    def read_records(self) -> list[UploadRecord]:
        """Return what was uploaded, oldest first.

        Raises:
            ValueError: naming a record that is damaged.
        """
        paths = [path for folder in self._folder.iterdir() if (path := folder / _RECORD).is_file()]
        return sorted((_read(path, UploadRecord) for path in paths), key=lambda record: record.number)

    def read_result(self, video_id: str) -> UploadResult | None:
        """Return what became of an upload, `None` while that is open.

        Raises:
            ValueError: naming a result that is damaged.
        """
        path = self.find_folder(video_id) / _RESULT
        return _read(path, UploadResult) if path.is_file() else None

    def save_result(self, video_id: str, result: UploadResult) -> None:
        """Keep what became of an upload; of one that was refused, the file itself is not kept.

        Raises:
            OSError: when it cannot be written.
        """
        folder = self.find_folder(video_id)
        write_json(folder / _RESULT, asdict(result))
        sync_folder(folder)
        if result.state == "failed":
            (folder / ORIGINAL).unlink(missing_ok=True)


def name_upload(sha256: str) -> str:
    """Return the id of an uploaded content."""
    return f"upload-{sha256[:16]}"


def find_original(state_dir: Path, video_id: str) -> Path:
    """Return the file of an upload that was accepted, as it came."""
    return state_dir / _UPLOADS / video_id / ORIGINAL


def clean_title(title: str) -> str:
    """Return a title that can be shown: one line without control characters, of bounded length."""
    name = os.path.basename(title.replace("\\", "/"))
    shown = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in name)
    return " ".join(shown.split())[:_MAX_TITLE_CHARACTERS] or "untitled"


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        return kind(**read_json(path))
    except TypeError as error:
        raise ValueError(f"{path} is damaged ({error}); remove the folder {path.parent} and start again") from error

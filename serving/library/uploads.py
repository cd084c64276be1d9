"""Uploads on disk. Each is a folder that exists completely or not at all.

`<state>/uploads/<id>/` holds `original`, the unchanged file, and `record.json`, its description. Once the upload is indexed
or refused, it also holds thumbnails, a playable form and, written last, `result.json`. Files that are still arriving lie in
`<state>/incoming/`.
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
from corpus.names import unify
from serving.library.journal import sync_folder

ORIGINAL, PLAYABLE = "original", "playable.mp4"
_UPLOADS = "uploads"
_RECORD, _RESULT = "record.json", "result.json"
_ID = re.compile(r"upload-[0-9a-f]{16}")
_MAX_TITLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """An uploaded file; `number` counts uploads and gives their order."""

    video_id: str
    title: str
    sha256: str
    size_bytes: int
    number: int


@dataclass(frozen=True, slots=True)
class UploadResult:
    """Result of an upload. `reason` says why it was refused, or why it has no playable form."""

    state: Literal["ready", "failed"]
    reason: str = ""
    duration_s: float = 0.0
    num_thumbnails: int = 0
    media_name: str = ""  # of the file that browsers play, empty if there is none
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
            if not (path / _RECORD).is_file():  # a worker wrote it after the upload was removed
                shutil.rmtree(path)
        self._next_number = 1 + max((record.number for record in self.read_records()), default=0)

    def start(self) -> Path:
        """Return a new folder for an arriving file, which must be named `original`."""
        folder = self._incoming / secrets.token_hex(8)
        folder.mkdir()
        return folder

    def discard(self, folder: Path) -> None:
        """Remove a folder of `start`."""
        shutil.rmtree(folder, ignore_errors=True)

    def accept(self, folder: Path, *, title: str, sha256: str, size_bytes: int) -> UploadRecord:
        """Keep a received file that is on disk. When this returns, the upload survives a crash.

        The content decides the id, so a file that is sent twice is kept once; a refused file is tried again.

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
        """Delete an upload. When this returns, the deletion survives a crash."""
        folder = self.find_folder(video_id)
        if folder.is_dir():
            doomed = self._incoming / secrets.token_hex(8)
            folder.rename(doomed)
            sync_folder(self._folder)
            shutil.rmtree(doomed, ignore_errors=True)

    def find_folder(self, video_id: str) -> Path:
        """Return the folder of an upload.

        Raises:
            KeyError: when the id is not that of an upload.
        """
        if not _ID.fullmatch(video_id):
            raise KeyError(f"{video_id!r} is not the id of an upload")
        return self._folder / video_id

    def read_records(self) -> list[UploadRecord]:
        """Return all uploads, oldest first.

        Raises:
            ValueError: naming a record that is damaged.
        """
        paths = [path for folder in self._folder.iterdir() if (path := folder / _RECORD).is_file()]
        return sorted((_read(path, UploadRecord) for path in paths), key=lambda record: record.number)

    def read_result(self, video_id: str) -> UploadResult | None:
        """Return the result of an upload, `None` if there is none yet.

        Raises:
            ValueError: naming a result that is damaged.
        """
        path = self.find_folder(video_id) / _RESULT
        return _read(path, UploadResult) if path.is_file() else None

    def save_result(self, video_id: str, result: UploadResult) -> None:
        """Store the result of an upload, and delete the file of a refused one.

        Raises:
            OSError: when it cannot be written.
        """
        folder = self.find_folder(video_id)
        write_json(folder / _RESULT, asdict(result))
        sync_folder(folder)
        if result.state == "failed":
            (folder / ORIGINAL).unlink(missing_ok=True)


def name_upload(sha256: str) -> str:
    """Return the id of an upload with this content."""
    return f"upload-{sha256[:16]}"


def find_original(state_dir: Path, video_id: str) -> Path:
    """Return the unchanged file of an accepted upload."""
    return state_dir / _UPLOADS / video_id / ORIGINAL


def clean_title(title: str) -> str:
    """Return a title that can be shown: one line without control characters, of bounded length."""
    name = unify(os.path.basename(title.replace("\\", "/")))
    shown = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in name)
    return " ".join(shown.split())[:_MAX_TITLE_CHARACTERS] or "untitled"


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        return kind(**read_json(path))
    except TypeError as error:
        raise ValueError(f"{path} is damaged ({error}); remove the folder {path.parent} and restart the service") from error

"""Parser of forms with a file. It writes the file to disk as it arrives, so memory holds one buffer for any size."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from serving.gate.body import BodyTooLargeError
from serving.library.content import HEAD_BYTES, find_container

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILE = "file"
_BUFFER_BYTES = 1 << 20
_MAX_FIELD_BYTES = 4096
_MAX_PARTS = 8
_MAX_NAME_BYTES = 1024


class ReceivedFile(NamedTuple):
    """A received file, which is on disk."""

    name: str  # given by the client
    sha256: str
    size_bytes: int


class ReceivedForm(NamedTuple):
    """A received form."""

    file: ReceivedFile
    fields: dict[str, str]


async def receive_form(request: Request, path: Path, *, max_bytes: int, fields: frozenset[str]) -> ReceivedForm:
    """Receive a form with one file, which is written to `path`, and with no other fields than `fields`.

    Raises:
        HTTPException: 400 if the body is not such a form, 413 if the file is too large, 415 if the file is not a video.
        OSError: when the file cannot be written.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if content_type != b"multipart/form-data":
        raise HTTPException(415, "the body is not a form; send the video in a form with Content-Type: multipart/form-data")
    if not 1 <= len(boundary) <= 70:
        raise HTTPException(400, "the form has no boundary of 1 to 70 characters in its Content-Type")
    with path.open("wb") as file:
        receiver = _Receiver(file, max_bytes=max_bytes, fields=fields)
        try:
            await _feed(request, boundary, receiver)
        except FormParserError as error:
            raise HTTPException(
                400, "the body is not the form that its Content-Type declares; send multipart/form-data"
            ) from error
        return await anyio.to_thread.run_sync(receiver.finish)


async def _feed(request: Request, boundary: bytes, receiver: "_Receiver") -> None:
    parser = MultipartParser(boundary, receiver.build_callbacks())
    async for chunk in request.stream():
        parser.write(chunk)
        if receiver.is_full:
            await anyio.to_thread.run_sync(receiver.flush)
    parser.finalize()


@dataclass
class _Part:
    """One part of a form. The content of a file goes to the receiver's buffer instead."""

    name: str = ""
    file_name: str = ""
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    content: bytearray = field(default_factory=bytearray)


class _Receiver:
    """Receives the parts from the parser: writes the file to `file`, keeps fields in memory."""

    def __init__(self, file: BinaryIO, *, max_bytes: int, fields: frozenset[str]) -> None:
        self._file, self._max_bytes, self._names = file, max_bytes, fields
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._num_bytes = self._num_parts = 0
        self._part = _Part()
        self._file_name: str | None = None
        self._fields: dict[str, str] = {}
        self._is_whole = False

    @property
    def is_full(self) -> bool:
        """Whether the buffer must be written."""
        return len(self._buffer) >= _BUFFER_BYTES

    def build_callbacks(self) -> "MultipartCallbacks":
        """Return the callbacks of the parser."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._part.header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._part.value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def flush(self) -> None:
        """Write the buffer. The first call checks the type of the file."""
        if self._num_bytes == 0:
            _require_video(bytes(self._buffer[:HEAD_BYTES]))
        self._num_bytes += len(self._buffer)
        self._hash.update(self._buffer)
        self._file.write(self._buffer)
        self._buffer.clear()

    def finish(self) -> ReceivedForm:
        """Sync the file to disk and return the form.

        Raises:
            HTTPException: when the form is incomplete or has no file.
        """
        if not self._is_whole:
            raise HTTPException(400, "the form ends before its last boundary; send it again")
        if self._file_name is None:
            raise HTTPException(400, f"the form has no file; send the video as the part {FILE!r}, with a file name")
        self.flush()
        self._file.flush()
        os.fsync(self._file.fileno())
        return ReceivedForm(ReceivedFile(self._file_name, self._hash.hexdigest(), self._num_bytes), self._fields)

    def _begin_part(self) -> None:
        self._num_parts += 1
        if self._num_parts > _MAX_PARTS:
            raise HTTPException(400, f"the form has more than {_MAX_PARTS} parts; send only one file and the fields")
        self._part = _Part()

    def _end_header(self) -> None:
        if self._part.header.lower() == b"content-disposition":
            self._part.disposition = bytes(self._part.value)
        self._part.header.clear()
        self._part.value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        name, file_name = (options.get(key, b"")[:_MAX_NAME_BYTES] for key in (b"name", b"filename"))
        self._part.name, self._part.file_name = (text.decode("utf-8", "replace") for text in (name, file_name))
        if self._part.name == FILE:
            if self._file_name is not None:
                raise HTTPException(400, "the form has two files; send one")
            self._file_name = self._part.file_name
        elif self._part.name not in self._names or self._part.name in self._fields:
            known = ", ".join(sorted(self._names))
            unknown = ascii(self._part.name[:60])
            raise HTTPException(400, f"the form has an unknown or repeated part {unknown}; send {FILE}, {known}, once each")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == FILE:
            self._buffer += data[start:end]
            if self._num_bytes + len(self._buffer) > self._max_bytes:
                raise BodyTooLargeError(self._max_bytes)
            return
        self._part.content += data[start:end]
        if len(self._part.content) > _MAX_FIELD_BYTES:
            raise HTTPException(400, f"the field {self._part.name} is longer than {_MAX_FIELD_BYTES} bytes; shorten it")

    def _end_part(self) -> None:
        if self._part.name == FILE:
            return
        try:
            self._fields[self._part.name] = self._part.content.decode()
        except UnicodeDecodeError as error:
            raise HTTPException(400, f"the field {self._part.name} is not UTF-8; send it in UTF-8") from error

    def _end(self) -> None:
        self._is_whole = True


def _require_video(head: bytes) -> None:
    if not find_container(head):
        raise HTTPException(415, "the file does not start like a known video container; send MP4, MOV, WebM, MKV, AVI or MPEG")

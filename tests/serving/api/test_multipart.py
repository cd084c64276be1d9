"""A form goes to disk as it arrives, in bounded memory."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from serving.api.multipart import ReceivedForm, receive_form

HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="fa\xc3\xa7ade.mp4"\r\n\r\n'
VIDEO = b"\0\0\0\x18ftypisom"
CHUNK = bytes(65536)


def receive(path: Path, parts: AsyncIterator[bytes], *, max_bytes: int = 10**9, boundary: str = "b") -> ReceivedForm:
    async def get() -> Any:
        part = await anext(parts, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    headers = [(b"content-type", f"multipart/form-data; boundary={boundary}".encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, get)
    return asyncio.run(receive_form(request, path, max_bytes=max_bytes, fields=frozenset({"title"})))


async def send(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def send_large(num_chunks: int) -> AsyncIterator[bytes]:
    yield HEAD + VIDEO
    for _ in range(num_chunks):
        yield CHUNK
    yield b"\r\n--b--\r\n"


def test_a_large_file_is_never_held_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    form = receive(tmp_path / "file", send_large(800))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    content = (tmp_path / "file").read_bytes()
    assert form.file == ("façade.mp4", hashlib.sha256(content).hexdigest(), len(VIDEO) + 800 * len(CHUNK))
    assert len(content) == form.file.size_bytes
    assert peak_bytes < 8_000_000


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 1000])
def test_a_form_may_be_split_into_chunks_anywhere(tmp_path: Path, step: int) -> None:
    title = b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nA title\r\n'
    content = VIDEO + b"\r\n-\r\n--\r\n--c\r\n"  # looks like the start of a boundary
    body = title + HEAD + content + b"\r\n--b--\r\n"
    form = receive(tmp_path / "file", send(*[body[start : start + step] for start in range(0, len(body), step)]))
    assert form.fields == {"title": "A title"}
    assert (tmp_path / "file").read_bytes() == content


def test_a_file_above_the_limit_is_refused_while_it_arrives(tmp_path: Path) -> None:
    with pytest.raises(HTTPException, match="larger than the limit of 1000000 bytes"):
        receive(tmp_path / "file", send_large(10**6), max_bytes=1_000_000)
    assert (tmp_path / "file").stat().st_size <= 1_100_000


@pytest.mark.parametrize("boundary", ["", "x" * 71])
def test_a_boundary_has_a_length_within_the_standard(tmp_path: Path, boundary: str) -> None:
    with pytest.raises(HTTPException, match="boundary of 1 to 70 characters"):
        receive(tmp_path / "file", send(b""), boundary=boundary)

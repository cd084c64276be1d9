"""Hostile requests are refused with a reason, without server errors, leaks or growth of memory."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from loopback import WAIT_LIMIT_S, wait_until

pytestmark = pytest.mark.slow
QUERY = "a circle"


def ask(api: Any, request: bytes, *, then: bytes = b"", pause_s: float = 0.0, is_cut: bool = False) -> bytes:
    """Send raw bytes, and more of them after a pause; return the answer, or nothing if the connection is cut."""
    with socket.create_connection(("127.0.0.1", int(api.server.url.rpartition(":")[2])), timeout=WAIT_LIMIT_S) as connection:
        connection.sendall(request)
        time.sleep(pause_s)
        if is_cut:
            return b""
        connection.sendall(then)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def read_error(answer: Any) -> str:
    """Return the reason of a refusal, which is its only content."""
    content = answer.json()
    assert set(content) == {"error"}, content
    reason = content["error"]
    assert "Traceback" not in reason
    assert "/work" not in reason
    assert "/tmp" not in reason
    return str(reason)


BODIES = [
    (b"", "Field required"),
    (b"{", "not strict JSON"),
    (b"[]", "a valid dictionary"),
    (b"null", "Field required"),
    (b'{"query": ""}', "at least 1 character"),
    (b'{"query": "..."}', "has no words"),
    (b'{"query": "\\ud83d\\ude00"}', "has no words"),
    (b'{"query": "\\u0000"}', "has no words"),
    (b'{"query": "a \\ud800 circle"}', "query"),
    (json.dumps({"query": "word " * 2000}).encode(), "at most 1000 characters"),
    (b'{"query": 7}', "a valid string, got 7"),
    (b'{"query": "a circle", "top_k": 0}', "greater than or equal to 1, got 0"),
    (b'{"query": "a circle", "top_k": -1}', "got -1"),
    (b'{"query": "a circle", "top_k": 1000000000}', "less than or equal to 100"),
    (b'{"query": "a circle", "top_k": 1e9}', "a valid integer"),
    (b'{"query": "a circle", "top_k": 5.0}', "a valid integer"),
    (b'{"query": "a circle", "top_k": NaN}', "a valid integer, got nan"),
    (b'{"query": "a circle", "top_k": "5"}', "a valid integer, got '5'"),
    (b'{"query": "a circle", "top_k": true}', "a valid integer, got True"),
    (b'{"query": "a circle", "top_k": ' + b"9" * 5000 + b"}", "not strict JSON"),
    (b'{"query": "a circle", "min_score": Infinity}', "a finite number"),
    (b'{"query": "a circle", "min_confidence": 2}', "less than or equal to 1"),
    (b'{"query": "a circle", "video_ids": []}', "at least 1 item"),
    (b'{"query": "a circle", "video_ids": ["' + b"x" * 5000 + b'"]}', "at most 1024 characters"),
    (b'{"query": "a circle", "query": "b"}', "'query' occurs twice"),
    (b'{"query": "a circle", "colour": 1}', "colour"),
    (b'{"query": ' + b"[" * 30000 + b"]" * 30000 + b"}", "nested too deeply"),
    (b'{"query": "\xff"}', "not UTF-8"),
    ('{"query": "a circle"}'.encode("utf-16")[:-1], "not"),
]


@pytest.mark.parametrize(("body", "reason"), BODIES, ids=[str(number) for number in range(len(BODIES))])
def test_a_bad_body_is_answered_with_the_reason(api: Any, body: bytes, reason: str) -> None:
    answer = api.client.post("/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert reason in read_error(answer)
    assert len(answer.content) < 1000


@pytest.mark.parametrize("query", ["a circle \N{GRINNING FACE}\0", "\u202ea circle", "a" * 999, "a circle\r\nSet-Cookie: x=1"])
def test_odd_sentences_with_words_are_answered(api: Any, query: str) -> None:
    answer = api.client.post("/search", json={"query": query})
    assert answer.status_code == 200
    assert answer.json()["query"] == query


OTHER_TYPES = ["", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]


@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_a_body_of_another_type_is_refused(api: Any, content_type: str) -> None:
    answer = api.client.post("/search", content=b'{"query": "a circle"}', headers={"Content-Type": content_type})
    assert answer.status_code == 415
    assert "send JSON" in read_error(answer)


PATHS = [
    "/media/nowhere",
    "/media/..%2F..%2Fetc%2Fpasswd",
    "/media/%2e%2e/%2e%2e/etc/passwd",
    "/media/../../etc/passwd",
    "/media/videos/v1.mp4",
    "/media/%00",
    "/media/%ff%fe",
    "/media/",
    "/media/upload-0123456789abcdef",
    "/thumbnails/../../0.jpg",
    "/thumbnails/v1/-1.jpg",
    "/thumbnails/v1/99999999999999999999.jpg",
    "/thumbnails/v1/%2e%2e%2f0.jpg",
    "/videos/..%2f..",
    "/page/..%2f..%2fservice.py",
    "/page/%2e%2e",
    "/page/index.html%00.js",
    "/" + "x" * 20000,
]


@pytest.mark.parametrize("path", PATHS, ids=[path[:40] for path in PATHS])
def test_an_unknown_path_is_refused(api: Any, path: str) -> None:
    answer = ask(api, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b"\r\n")[0] in (b"HTTP/1.1 404 Not Found", b"HTTP/1.1 400 Bad Request")
    assert b"root:" not in answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize("path", ["/videos/a%0Ab", "/thumbnails/a%0A/0.jpg", "/%0A"])
def test_a_path_with_a_line_break_is_refused_with_the_reason(api: Any, path: str) -> None:
    answer = api.client.get(path)
    assert answer.status_code == 404
    assert "line break" in read_error(answer)


ODD_HEADERS = ["Host: [", "Host: \xff", "Origin: http://[", "Cookie: cuepoint_access=\xff; =;", "Range: bytes=x"]


@pytest.mark.parametrize("header", ODD_HEADERS)
def test_odd_headers_cause_no_server_error(api: Any, header: str) -> None:
    request = f"POST /search HTTP/1.1\r\nHost: x\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert 400 <= int(ask(api, request.encode("latin-1")).split()[1]) < 500


def test_a_page_of_another_site_cannot_change_anything(api: Any) -> None:
    answer = api.client.post("/search", json={"query": QUERY}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert api.client.post("/search", json={"query": QUERY}, headers={"Origin": api.server.url}).status_code == 200


def test_a_large_json_body_is_refused_before_it_is_parsed(api: Any) -> None:
    answer = api.client.post("/search", content=b" " * 2**20, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "larger than the limit of 65536 bytes" in read_error(answer)


def test_a_body_that_arrives_too_slowly_is_refused(api: Any) -> None:
    head = b"POST /search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    answer = ask(api, head, pause_s=1, then=b'"')
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"arrives too slowly" in answer


def make_form(*parts: tuple[str, bytes], is_whole: bool = True) -> bytes:
    """Return a form of (disposition, content) parts."""
    body = b"".join(
        b"--b\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts
    )
    return body + (b"--b--\r\n" if is_whole else b"")


HEAD = b"\0\0\0\x18ftypisom" + bytes(100)
FILE = ('name="file"; filename="a.mp4"', HEAD)
FORMS = [
    (make_form(FILE, is_whole=False), 400, "before its last boundary"),
    (make_form(), 400, "not the form|has no file"),
    (make_form(('name="title"', b"x")), 400, "has no file"),
    (make_form(FILE, FILE), 400, "two files"),
    (make_form(FILE, ('name="colour"', b"x")), 400, "repeated part 'colour'"),
    (make_form(FILE, ('name="title"', b"\xff")), 400, "not UTF-8"),
    (make_form(FILE, ('name="title"', b"x" * 5000)), 400, "longer than 4096"),
    (make_form(*[("", b"")] * 100), 400, "repeated part ''"),
    (make_form(('name="file"; filename="a.mp4"', b"")), 415, "does not start like"),
    (
        make_form(('name="file"; filename="a.mp4"', b"\x89PNG\r\n\x1a\n" + bytes(100))),
        415,
        "does not start like",
    ),
    (make_form(('name="file"; filename="a.mp4"', b"#!/bin/sh\n")), 415, "does not start like"),
    (make_form(('name="file"; filename="a.mp4"', HEAD + bytes(3_000_000))), 413, "larger than"),
    (b"--b\r\nContent-Disposition: " + b"x" * 100_000, 400, "not the form"),
    (b"nothing of a form", 400, "not the form"),
]


@pytest.mark.parametrize(("body", "status", "reason"), FORMS, ids=[str(number) for number in range(len(FORMS))])
@pytest.mark.parametrize("is_counted", [False, True], ids=["declared", "counted"])
def test_a_bad_form_is_refused_with_the_reason_and_leaves_no_file(
    api: Any, body: bytes, status: int, reason: str, is_counted: bool
) -> None:
    def stream() -> Iterator[bytes]:
        yield from (body[start : start + 65536] for start in range(0, len(body), 65536))

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = api.client.post("/videos", content=stream() if is_counted else body, headers=headers)
    assert answer.status_code == status, answer.text
    assert any(one in read_error(answer) for one in reason.split("|")), answer.text
    assert not list((api.server.home / "state" / "incoming").iterdir())
    assert not list((api.server.home / "state" / "uploads").iterdir())


def test_an_interrupted_upload_leaves_no_file(api: Any, clip: bytes) -> None:
    body = make_form(('name="file"; filename="a.mp4"', clip))
    head = "POST /videos HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    whole = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    ask(api, whole[: len(whole) // 2], pause_s=0.5, is_cut=True)
    wait_until(lambda: not list((api.server.home / "state" / "incoming").iterdir()))
    assert api.client.get("/videos").json()["total"] == 4


def patch(content: bytes, box: bytes, offset: int, value: bytes) -> bytes:
    """Write a value into a box of an MP4 file, counted from its name."""
    place = content.index(box) + offset
    return content[:place] + value + content[place + len(value) :]


LIES = {
    "duration": lambda clip: patch(patch(clip, b"mvhd", 20, b"\x7f\xff\xff\xff"), b"mdhd", 20, b"\x7f\xff\xff\xff"),
    "size": lambda clip: patch(clip, b"avc1", 28, b"\xff\xff\xff\xff"),
    "samples": lambda clip: patch(clip, b"stsz", 12, b"\x7f\xff\xff\xff"),
    "offsets": lambda clip: patch(clip, b"stco", 12, b"\xff\xff\xff\xff"),
    "box": lambda clip: struct.pack(">I4sI4s", 0xFFFFFFF0, b"free", 1, b"x") + clip,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_with_false_claims_is_refused_or_corrected(api: Any, clip: bytes, lie: str) -> None:
    video_id = api.upload(LIES[lie](clip)).json()["video_id"]
    row = api.wait_until_indexed(video_id)
    assert row["state"] == "failed" or row["duration_s"] < 10, row
    assert row["state"] == "ready" or ("/" not in row["reason"] and row["reason"]), row
    api.client.delete(f"/videos/{video_id}").raise_for_status()


def test_hostile_requests_do_not_make_the_service_grow(api: Any) -> None:
    (worker,) = [psutil.Process(number) for number in api.server.find_children()]

    def press(rounds: int) -> None:
        for number in range(rounds):
            api.client.post("/search", content=BODIES[number % len(BODIES)][0], headers={"Content-Type": "application/json"})
            api.client.get(f"/made/up/{number}/{'x' * 500}")
            body, _, _ = FORMS[number % 11]
            api.client.post("/videos", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    press(200)
    before = worker.memory_info().rss
    press(600)
    assert worker.memory_info().rss - before < 4_000_000


def test_no_request_caused_a_server_error(api: Any) -> None:
    assert 'status="500"' not in api.client.get("/metrics").text
    assert "Traceback" not in api.server.read_log()
    assert api.client.get("/readyz").status_code == 200

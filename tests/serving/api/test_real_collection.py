"""Real files, good and broken, are uploaded one by one and searched together: each plays or states why it cannot."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
SENTENCE = "a woman lifts a barbell over her head"
BROKEN = {"corrupted.mp4"}


@pytest.fixture(scope="module")
def rows(api: Any, shared_dir: Path) -> Any:
    """The state of each real file by name, once all are indexed or refused."""
    paths = sorted(path for folder in ("videos", "odd") for path in (shared_dir / "real" / folder).iterdir())
    ids = {path.name: api.upload(path.read_bytes(), path.name).raise_for_status().json()["video_id"] for path in paths}
    yield {name: api.wait_until_indexed(video_id) for name, video_id in ids.items()}
    for video_id in ids.values():
        api.client.delete(f"/videos/{video_id}")


def test_each_file_is_ready_or_refused_with_a_reason(rows: dict[str, dict[str, Any]]) -> None:
    assert len(rows) == 9
    assert {name for name, row in rows.items() if row["state"] == "failed"} == BROKEN
    for name, row in rows.items():
        assert (row["playable"], bool(row["reason"])) == (("no", True) if name in BROKEN else ("yes", False)), row


def test_a_search_finds_each_file_beside_the_collection(api: Any, rows: dict[str, dict[str, Any]]) -> None:
    ready = {row["video_id"]: row for row in rows.values() if row["state"] == "ready"}
    asked = {"query": SENTENCE, "top_k": 100, "min_confidence": 0}  # the models do not know these subjects
    assert api.client.post("/search", json=asked).raise_for_status().json()["moments"]
    for video_id, row in ready.items():
        found = api.client.post("/search", json={**asked, "video_ids": [video_id]}).raise_for_status().json()["moments"]
        assert {moment["video_id"] for moment in found} == {video_id}
        assert all(0 <= moment["start_s"] < moment["end_s"] <= row["duration_s"] + 1e-3 for moment in found)


def test_media_is_given_whole_and_by_ranges(api: Any, rows: dict[str, dict[str, Any]]) -> None:
    for name, row in rows.items():
        url = f"/media/{row['video_id']}"
        if name in BROKEN:
            answer = api.client.get(url)
            assert (answer.status_code, "cannot be played" in answer.json()["error"]) == (404, True)
            continue
        whole = api.client.get(url).raise_for_status().content
        half = len(whole) // 2
        part = api.client.get(url, headers={"Range": f"bytes={half}-{half + 99}"})
        assert (part.status_code, part.content) == (206, whole[half : half + 100])
        assert part.headers["content-range"] == f"bytes {half}-{half + 99}/{len(whole)}"
        end = api.client.get(url, headers={"Range": "bytes=-10"})
        assert (end.status_code, end.content) == (206, whole[-10:])
        assert api.client.get(url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
        for number in range(row["num_thumbnails"]):
            assert api.client.get(f"/thumbnails/{row['video_id']}/{number}.jpg").raise_for_status().content[:2] == b"\xff\xd8"


def test_no_request_caused_a_server_error(api: Any, rows: dict[str, dict[str, Any]]) -> None:
    assert rows
    assert 'status="500"' not in api.client.get("/metrics").text
    assert api.client.get("/readyz").status_code == 200
    assert "Traceback" not in api.server.read_log()

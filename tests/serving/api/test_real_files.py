"""Real files of awkward kinds are uploaded, searched and played in a browser, or refused with the reason."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
SENTENCE = "a red circle moves"
PLAY = """async (video) => {
  video.muted = true; video.currentTime = video.duration / 2; await video.play();
  await new Promise((resolve) => { video.onended = video.ontimeupdate = () => resolve(); });
  return [video.duration, video.videoWidth, video.videoHeight];
}"""
FILES = {  # name -> duration, width, height as shown
    "avi_container.avi": (6.56, 320, 240),
    "video_0.mov": (0.1, 568, 320),
    "video_90.mov": (0.1, 320, 568),
    "video_180.mov": (0.1, 568, 320),
    "video_270.mov": (0.1, 320, 568),
}


def upload(api: Any, path: Path) -> dict[str, Any]:
    row: dict[str, Any] = api.wait_until_indexed(api.upload(path.read_bytes(), path.name).json()["video_id"])
    return row


@pytest.mark.browser
@pytest.mark.parametrize("name", FILES)
def test_an_odd_file_is_searched_and_plays_upright(api: Any, browser: Any, shared_dir: Path, name: str) -> None:
    row = upload(api, shared_dir / "real" / "odd" / name)
    assert (row["state"], row["playable"], row["reason"]) == ("ready", "yes", "")
    asked = {"query": SENTENCE, "video_id": row["video_id"]}
    found = api.client.post("/localize", json=asked).raise_for_status().json()
    assert found["timeline"]["candidates"]
    page = browser.new_page()
    page.goto(f"{api.server.url}/livez")
    page.set_content(f'<video src="/media/{row["video_id"]}" preload="auto"></video>')
    duration_s, width, height = page.locator("video").evaluate(PLAY)
    page.close()
    api.client.delete(f"/videos/{row['video_id']}").raise_for_status()
    assert duration_s == pytest.approx(FILES[name][0], abs=0.1)
    assert (width, height) == FILES[name][1:]


@pytest.mark.parametrize("name", ["Y1HGC.mp4", "v_GGSY1Qvo990.mp4", "v_ZNVhz7ctTq0.mp4"])
def test_a_web_video_is_searched_and_served_unchanged(api: Any, shared_dir: Path, name: str) -> None:
    path = shared_dir / "real" / "videos" / name
    row = upload(api, path)
    assert row["state"] == "ready"
    assert api.client.get(f"/media/{row['video_id']}").content == path.read_bytes()
    api.client.delete(f"/videos/{row['video_id']}").raise_for_status()


def test_a_broken_file_is_refused_with_the_reason(api: Any, shared_dir: Path) -> None:
    row = upload(api, shared_dir / "real" / "odd" / "corrupted.mp4")
    assert (row["state"], row["playable"]) == ("failed", "no")
    assert "it cannot be decoded" in row["reason"]
    api.client.delete(f"/videos/{row['video_id']}").raise_for_status()

"""Web videos with sound and a table of sentences, and odd files, in every stage, up to an answer that plays in a browser."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kept_cache import kept_cache
from loopback import WAIT_LIMIT_S, find_free_port, is_ready, wait_until

pytestmark = pytest.mark.whole

RunIn = Callable[..., str]
WEB_VIDEOS = ("Y1HGC", "v_GGSY1Qvo990", "v_ZNVhz7ctTq0")
SENTENCE = "a woman lifts a barbell over her head"
PLAY_FROM_5_S = """async (video) => {
  video.currentTime = 5; video.muted = true; await video.play();
  await new Promise((resolve) => { video.ontimeupdate = () => { if (video.currentTime > 5.3) resolve(); }; });
  return [video.duration, video.currentTime, video.videoWidth, video.videoHeight];
}"""


@pytest.fixture(scope="module")
def web_videos(shared_dir: Path, tiny_pipeline: Path, run_in: RunIn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the pipeline on a folder of real and odd videos with a CSV file, chosen by one option."""
    checkout = tmp_path_factory.mktemp("web") / "checkout"
    run_in(checkout.parent, "git", "clone", "-q", str(tiny_pipeline), str(checkout))
    raw = checkout / "data" / "raw" / "web"
    for folder in ("videos", "odd"):
        shutil.copytree(shared_dir / "real" / folder, raw / "videos", dirs_exist_ok=True)
    write_table(raw / "annotations.csv", read_rows(shared_dir / "real" / "annotations.jsonl"))
    run_in(checkout, "dvc", "add", "-q", "data/raw/web")
    with kept_cache(checkout, "web"):
        run_in(checkout, "dvc", "exp", "run", "-q", "-S", "corpus.name=web", "package", "evaluate")
    return checkout


@pytest.fixture
def service(web_videos: Path, tmp_path: Path) -> Iterator[str]:
    """Serve the packaged bento on loopback."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "cuepoint", "serve", "--port", str(port)]
        server = subprocess.Popen(command, cwd=web_videos, env={**os.environ, "DO_NOT_TRACK": "1"}, stdout=log, stderr=log)
    try:
        wait_until(lambda: is_ready(url), 120, what=(tmp_path / "log").read_text)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(WAIT_LIMIT_S)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["video", "start", "end", "query"])
        for row in rows:
            table.writerows([f"{row['vid']}.mp4", start_s, end_s, row["query"]] for start_s, end_s in row["relevant_windows"])


def test_all_ten_sentences_and_three_videos_are_used_and_the_broken_file_is_quarantined(web_videos: Path) -> None:
    corpus = web_videos / "data" / "corpus"
    assert len(read_rows(corpus / "queries.jsonl")) == 10
    annotated = [row["split"] for row in read_rows(corpus / "videos.jsonl") if row["split"] != "unlabelled"]
    assert sorted(annotated) == ["test", "train", "val"]
    (broken,) = read_rows(corpus / "quarantine.jsonl")
    assert broken["path"] == "videos/corrupted.mp4"
    assert "it cannot be decoded" in broken["reason"]


def test_turned_videos_are_upright_and_an_avi_joins_the_collection(web_videos: Path) -> None:
    videos = {row["video_id"]: row for row in read_rows(web_videos / "data" / "corpus" / "videos.jsonl")}
    turned = [videos[f"video_{angle}"] for angle in (0, 90, 180, 270)]  # each is stored as 568x320
    assert [(row["rotation"], row["width"], row["height"]) for row in turned] == [
        (0, 568, 320),
        (90, 320, 568),
        (180, 568, 320),
        (270, 320, 568),
    ]
    assert videos["avi_container"]["path"] == "videos/avi_container.avi"
    assert videos["avi_container"]["codec"] == "mpeg4"


def test_an_experiment_on_real_videos_is_scored(web_videos: Path) -> None:
    figures = json.loads((web_videos / "data" / "reports" / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    assert 0 <= figures["test"]["localizer"]["mIoU"] <= 1
    assert (web_videos / "data" / "reports" / "evaluation" / "index.html").stat().st_size > 10_000


def test_the_search_command_names_a_real_video(web_videos: Path, run_in: RunIn) -> None:
    assert "v_GGSY1Qvo990" in run_in(
        web_videos, sys.executable, "-m", "cuepoint", "search", SENTENCE, "-k", "40", "--min-confidence", "0"
    )


@pytest.mark.browser
def test_an_answer_plays_in_a_browser(service: str, browser: Any) -> None:
    asked = {"query": SENTENCE, "top_k": 40, "min_confidence": 0}
    found = httpx.post(f"{service}/search", json=asked, timeout=60).raise_for_status().json()
    moment = next(moment for moment in found["moments"] if moment["video_id"] in WEB_VIDEOS)
    page = browser.new_page()
    page.goto(f"{service}/livez")
    page.set_content(f'<video src="{service}/media/{moment["video_id"]}" preload="auto"></video>')
    duration_s, time_s, width, height = page.locator("video").evaluate(PLAY_FROM_5_S)
    page.close()
    assert duration_s > moment["end_s"] - 0.1
    assert 5.3 < time_s < 10
    assert width > 0 < height

"""Thumbnails of an indexed folder: drawn once in a child process, replaced for a changed file, deleted with the video."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from corpus.isolation import Budget, Report
from corpus.media.pictures.thumbnails import name_thumbnail_folder
from search.collection import FORMAT_VERSION
from search.indexing.folder_thumbnails import PER_VIDEO, THUMBNAILS, draw_file, update_thumbnails

pytestmark = pytest.mark.slow  # child processes draw


def write_index(folder: Path, media_dir: Path, videos: dict[str, str]) -> None:
    rows = [{"video_id": name, "path": name, "sha256": sha256} for name, sha256 in videos.items()]
    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / "files" / "videos.json").write_text(json.dumps(rows))
    (folder / "index.json").write_text(
        json.dumps({"format_version": FORMAT_VERSION, "folder": "files", "media_dir": str(media_dir)})
    )


@pytest.fixture
def media_dir(small_project: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("v0.mp4", "v1.mp4"):
        shutil.copy(small_project.raw / "videos" / name, folder)
    return folder


def test_new_and_changed_videos_get_thumbnails_and_others_lose_theirs(media_dir: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    write_index(index, media_dir, {"v0.mp4": "a", "v1.mp4": "b"})
    assert update_thumbnails(index).num_written == 2
    place = index / THUMBNAILS / name_thumbnail_folder("v0.mp4")
    assert sorted(path.name for path in place.glob("*.jpg")) == [f"{number}.jpg" for number in range(PER_VIDEO)]
    assert update_thumbnails(index) == (0, ())
    write_index(index, media_dir, {"v0.mp4": "changed"})
    assert update_thumbnails(index).num_written == 1
    assert [path.name for path in (index / THUMBNAILS).iterdir()] == [place.name]


def test_a_video_that_vanished_has_no_thumbnails(media_dir: Path, tmp_path: Path) -> None:
    write_index(tmp_path / "index", media_dir, {"v0.mp4": "a", "gone.mp4": "b"})
    report = update_thumbnails(tmp_path / "index")
    assert report.num_written == 1
    assert [name for name, _ in report.left_out] == ["gone.mp4"]


def draw_or_break(path: Path, report: Report) -> list[bytes]:
    """Do as a decoder does that crashes on one file and stalls on another one."""
    if path.name == "deadly.mp4":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name == "hanging.mp4":
        time.sleep(600)
    return draw_file(path, report)


def test_a_file_that_crashes_or_stalls_the_decoder_costs_its_own_thumbnails_alone(media_dir: Path, tmp_path: Path) -> None:
    for name in ("deadly.mp4", "hanging.mp4"):
        shutil.copy(media_dir / "v0.mp4", media_dir / name)
    (media_dir / "text.mp4").write_text("no video")
    index = tmp_path / "index"
    write_index(index, media_dir, {name: name for name in ("v0.mp4", "v1.mp4", "deadly.mp4", "hanging.mp4", "text.mp4")})
    budget = Budget(silence_s=20.0, silence_s_per_mebibyte=0.0)
    num_written, left_out = update_thumbnails(index, num_workers=1, draw=draw_or_break, budget=budget)
    assert num_written == 2
    reasons = dict(left_out)
    assert set(reasons) == {"deadly.mp4", "hanging.mp4", "text.mp4"}
    assert reasons["deadly.mp4"] == f"the process that read it ended with code {-signal.SIGSEGV}"
    assert reasons["hanging.mp4"] == "the process that read it made no progress for 20 s"
    kept = {path.name for path in (index / THUMBNAILS).iterdir()}
    assert kept == {name_thumbnail_folder(name) for name in ("v0.mp4", "v1.mp4")}
    assert update_thumbnails(index, num_workers=1).num_written == 2  # the copies, which this decoder reads

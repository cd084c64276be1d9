"""Thumbnails of an indexed folder: written once, replaced for a changed file, deleted with the video."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from corpus.media.pictures.thumbnails import name_thumbnail_folder
from search.collection import FORMAT_VERSION
from search.indexing.folder_thumbnails import PER_VIDEO, THUMBNAILS, update_thumbnails


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
    assert update_thumbnails(index) == 2
    place = index / THUMBNAILS / name_thumbnail_folder("v0.mp4")
    assert sorted(path.name for path in place.glob("*.jpg")) == [f"{number}.jpg" for number in range(PER_VIDEO)]
    assert update_thumbnails(index) == 0
    write_index(index, media_dir, {"v0.mp4": "changed"})
    assert update_thumbnails(index) == 1
    assert [path.name for path in (index / THUMBNAILS).iterdir()] == [place.name]


def test_a_video_that_vanished_has_no_thumbnails(media_dir: Path, tmp_path: Path) -> None:
    write_index(tmp_path / "index", media_dir, {"v0.mp4": "a", "gone.mp4": "b"})
    assert update_thumbnails(tmp_path / "index") == 1

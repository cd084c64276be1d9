"""The collection's videos are given as they are where browsers play them, and converted once where they do not."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from corpus.files import sha256_file
from loopback import wait_until
from serving.collection import IndexedVideo
from serving.library.catalogue import ConvertingError
from serving.library.jobs import JobQueue
from serving.library.media_forms import CollectionMedia, MediaPlaces
from serving.thumbnails import name_thumbnail_folder, save_thumbnails


@pytest.fixture
def media(tmp_path: Path) -> Iterator[CollectionMedia]:
    jobs = JobQueue()
    jobs.start()
    (tmp_path / "videos").mkdir()
    yield CollectionMedia(MediaPlaces(tmp_path / "videos", tmp_path / "thumbnails", tmp_path / "forms"), jobs)
    jobs.stop()


def add(tmp_path: Path, source: Path, name: str) -> IndexedVideo:
    path = tmp_path / "videos" / name
    shutil.copyfile(source, path)
    return IndexedVideo(name, name, 5.0, "", sha256_file(path))


def write_avi(path: Path) -> Path:
    with av.open(str(path), "w", format="avi") as container:
        stream: Any = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    return path


def test_a_video_that_browsers_play_is_given_as_it_is(media: CollectionMedia, tmp_path: Path, small_project: Any) -> None:
    video = add(tmp_path, small_project.raw / "videos" / "v0.mp4", "a.mp4")
    assert media.describe(video).playable == "yes"
    assert media.find_file(video) == (tmp_path / "videos" / "a.mp4", "video/mp4")
    assert not (tmp_path / "forms").exists()


@pytest.mark.slow
def test_a_video_that_they_do_not_play_is_converted_once(media: CollectionMedia, tmp_path: Path) -> None:
    video = add(tmp_path, write_avi(tmp_path / "a.avi"), "a.avi")
    assert media.describe(video).playable == "converting"
    with pytest.raises(ConvertingError, match=r"'a\.avi' is being converted"):
        media.find_file(video)
    wait_until(lambda: media.describe(video).playable == "yes", 30)
    path, media_type = media.find_file(video)
    assert (path, media_type) == (tmp_path / "forms" / f"{video.sha256}.mp4", "video/mp4")
    time_ns = path.stat().st_mtime_ns
    assert media.find_file(video).path.stat().st_mtime_ns == time_ns
    assert len(list((tmp_path / "forms").iterdir())) == 1


def test_what_is_no_video_says_so_and_is_not_tried_again(media: CollectionMedia, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no video")
    video = add(tmp_path, tmp_path / "text", "a.mp4")
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match=r"video 'a\.mp4' cannot be played: it cannot be decoded"):
            media.find_file(video)
    assert media.describe(video).playable == "no"


@pytest.mark.parametrize("path", ["/etc/hostname", "../../etc/hostname", "videos/../../x"])
def test_a_path_of_the_index_that_leaves_the_folder_is_refused(media: CollectionMedia, path: str) -> None:
    with pytest.raises(FileNotFoundError, match="the path of video 'a' leaves the media folder"):
        media.find_file(IndexedVideo("a", path, 5.0, "", ""))


@pytest.mark.parametrize("path", ["", "gone.mp4"])
def test_a_file_that_is_not_there_names_the_variable(media: CollectionMedia, path: str) -> None:
    video = IndexedVideo("a", path, 5.0, "", "")
    with pytest.raises(FileNotFoundError, match="set CUEPOINT_MEDIA_ROOT to its folder"):
        media.find_file(video)
    assert media.describe(video).playable == "no"


def test_thumbnails_are_counted_and_keep_the_proportions(media: CollectionMedia, tmp_path: Path, small_project: Any) -> None:
    video = add(tmp_path, small_project.raw / "videos" / "v0.mp4", "a b/../c.mp4".replace("/", "_"))
    save_thumbnails(tmp_path / "videos" / video.path, media.find_thumbnails(video.video_id), count=3)
    assert media.describe(video).num_thumbnails == 3
    assert media.describe(replace(video, video_id="other")).num_thumbnails == 0


def test_ids_that_differ_in_unsafe_characters_have_different_safe_folders() -> None:
    names = {name_thumbnail_folder(video_id) for video_id in ("a/b", "a b", "../a", "a_b", "x" * 300)}
    assert len(names) == 5
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") and len(name) < 64 for name in names)

"""The collection's videos are served unchanged if browsers play them, else they are converted once."""

import multiprocessing
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from corpus.files import sha256_file, write_bytes
from corpus.media.pictures.thumbnails import name_thumbnail_folder, save_thumbnails
from loopback import wait_until
from search.indexed_video import IndexedVideo
from serving.library.catalogue import ConvertingError
from serving.library.jobs import JobQueue
from serving.library.media_forms import CollectionMedia, MediaFolders, prepare_forms
from serving.library.upload_work import name_unfinished


@pytest.fixture
def media(tmp_path: Path) -> Iterator[CollectionMedia]:
    jobs = JobQueue()
    jobs.start()
    (tmp_path / "videos").mkdir()
    yield CollectionMedia(MediaFolders(tmp_path / "videos", tmp_path / "thumbnails", tmp_path / "forms"), jobs)
    jobs.stop()


def add(tmp_path: Path, source: Path, name: str) -> IndexedVideo:
    path = tmp_path / "videos" / name
    shutil.copyfile(source, path)
    return IndexedVideo(name, name, 5.0, "", sha256_file(path))


def write_avi(path: Path, *, num_frames: int = 5) -> Path:
    with av.open(str(path), "w", format="avi") as container:
        stream: Any = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(num_frames):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    return path


def test_a_video_that_browsers_play_is_served_unchanged(media: CollectionMedia, tmp_path: Path, small_project: Any) -> None:
    video = add(tmp_path, small_project.raw / "videos" / "v0.mp4", "a.mp4")
    assert media.describe(video).playable == "yes"
    assert media.find_file(video) == (tmp_path / "videos" / "a.mp4", "video/mp4")
    assert not (tmp_path / "forms").exists()


@pytest.mark.slow
def test_a_video_that_browsers_do_not_play_is_converted_once(media: CollectionMedia, tmp_path: Path) -> None:
    video = add(tmp_path, write_avi(tmp_path / "a.avi"), "a.avi")
    assert media.describe(video).playable == "converting"
    with pytest.raises(ConvertingError, match=r"'a\.avi' is being converted"):
        media.find_file(video)
    wait_until(lambda: media.describe(video).playable == "yes")
    path, media_type = media.find_file(video)
    assert (path, media_type) == (tmp_path / "forms" / f"{video.sha256}.mp4", "video/mp4")
    time_ns = path.stat().st_mtime_ns
    assert media.find_file(video).path.stat().st_mtime_ns == time_ns
    assert len(list((tmp_path / "forms").iterdir())) == 1


@pytest.mark.slow
def test_the_conversion_of_a_deleted_video_stops_and_leaves_nothing(media: CollectionMedia, tmp_path: Path) -> None:
    video = add(tmp_path, write_avi(tmp_path / "long.avi", num_frames=30_000), "long.avi")
    other = add(tmp_path, write_avi(tmp_path / "a.avi"), "a.avi")
    with pytest.raises(ConvertingError):
        media.find_file(video)
    unfinished = name_unfinished(tmp_path / "forms" / f"{video.sha256}.mp4")
    wait_until(unfinished.is_file, 30)
    (process,) = multiprocessing.active_children()
    with pytest.raises(ConvertingError):
        media.find_file(other)
    media.stop(video)
    assert not process.is_alive()
    assert not unfinished.exists()
    wait_until(lambda: media.describe(other).playable == "yes", 30)
    assert [path.name for path in (tmp_path / "forms").iterdir()] == [f"{other.sha256}.mp4"]


def test_a_partial_conversion_of_a_killed_service_is_removed(tmp_path: Path) -> None:
    unfinished, whole = tmp_path / "forms" / ".a.mp4.tmp", tmp_path / "forms" / "b.mp4"
    for path in (unfinished, whole):
        write_bytes(path, b"half a video")
    CollectionMedia(MediaFolders(tmp_path, tmp_path, tmp_path / "forms"), JobQueue())
    assert [unfinished.exists(), whole.exists()] == [False, True]


def test_a_file_that_is_not_a_video_is_refused_and_not_tried_again(media: CollectionMedia, tmp_path: Path) -> None:
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
def test_a_missing_file_names_the_variable(media: CollectionMedia, path: str) -> None:
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


def test_a_file_is_found_after_a_move_that_changed_its_unicode_form(
    media: CollectionMedia, small_project: Any, tmp_path: Path
) -> None:
    video = add(tmp_path, small_project.raw / "videos" / "v0.mp4", "cafe\u0301.mp4")
    moved = replace(video, video_id="caf\u00e9.mp4", path="caf\u00e9.mp4")
    assert media.find_file(moved).path == tmp_path / "videos" / "cafe\u0301.mp4"


def test_forms_of_older_versions_are_deleted_and_current_ones_stay(tmp_path: Path) -> None:
    folder = prepare_forms(tmp_path)
    for path in (tmp_path / "old.mp4", tmp_path / "1" / "old.mp4", folder / "new.mp4"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert prepare_forms(tmp_path) == folder
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "new.mp4"]


def test_a_damaged_video_is_converted_although_its_header_looks_playable(
    media: CollectionMedia, tmp_path: Path, small_project: Any
) -> None:
    video = add(tmp_path, small_project.raw / "videos" / "v0.mp4", "a.mp4")
    damaged = replace(video, is_intact=False)
    assert media.describe(damaged).playable == "converting"
    with pytest.raises(ConvertingError):
        media.find_file(damaged)
    wait_until(lambda: media.describe(damaged).playable == "yes", 30)
    assert media.find_file(damaged).path == tmp_path / "forms" / f"{video.sha256}.mp4"

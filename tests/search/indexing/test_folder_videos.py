"""The videos of a folder: the accepted files, their ids, and the report on the others."""

import os
from pathlib import Path

import pytest

from search.indexing.folder_videos import find_videos


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_videos_of_subfolders_are_found_by_their_relative_paths(tmp_path: Path) -> None:
    touch(tmp_path / "b.mp4", tmp_path / "b.MOV", tmp_path / "a day" / "b.mp4", tmp_path / "été #1 \N{GRINNING FACE}.webm")
    found = find_videos(tmp_path)
    assert [video.video_id for video in found.videos] == sorted(
        ["a day/b.mp4", "b.MOV", "b.mp4", "été #1 \N{GRINNING FACE}.webm"]
    )
    assert all(tmp_path / video.video_id == video.path for video in found.videos)
    assert found.left_out == ()


def test_hidden_files_and_files_of_other_kinds_are_passed_over_by_name(tmp_path: Path) -> None:
    touch(tmp_path / ".hidden.mp4", tmp_path / ".git" / "x.mp4", tmp_path / "notes.txt", tmp_path / "mp4", tmp_path / "a.mp4")
    found = find_videos(tmp_path)
    assert [video.video_id for video in found.videos] == ["a.mp4"]
    assert found.left_out == ()
    assert list(map(str, found.passed_over)) == [
        ".git (hidden folder)",
        ".hidden.mp4 (hidden)",
        "mp4 (empty)",
        "notes.txt (text)",
    ]


def test_ids_are_composed_and_paths_keep_the_form_of_the_file_system(tmp_path: Path) -> None:
    touch(tmp_path / "e\u0301te\u0301" / "cafe\u0301.mp4")
    (video,) = find_videos(tmp_path).videos
    assert (video.video_id, video.relative) == ("\u00e9t\u00e9/caf\u00e9.mp4", "e\u0301te\u0301/cafe\u0301.mp4")


def test_of_two_unicode_forms_of_one_name_the_second_is_left_out_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "cafe\u0301.mp4", tmp_path / "caf\u00e9.mp4")
    found = find_videos(tmp_path)
    assert [video.relative for video in found.videos] == ["cafe\u0301.mp4"]
    ((name, reason),) = found.left_out
    assert name == "caf\u00e9.mp4"
    assert reason == (
        r"its name 'caf\xe9.mp4' differs from 'cafe\u0301.mp4' only in Unicode form; rename or remove one of the files"
    )


def test_links_are_followed_and_each_folder_is_read_once(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    touch(folder / "real" / "a.mp4", outside / "b.mp4")
    (folder / "again").symlink_to(folder / "real")
    (folder / "real" / "loop").symlink_to(folder)
    (folder / "beyond").symlink_to(outside)
    (folder / "c.mp4").symlink_to(outside / "b.mp4")
    assert [video.video_id for video in find_videos(folder).videos] == ["beyond/b.mp4", "c.mp4", "real/a.mp4"]


def test_entries_that_are_not_files_are_left_out_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.mp4").symlink_to(tmp_path / "self.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    found = find_videos(tmp_path)
    assert found.videos == ()
    assert dict(found.left_out) == {
        "gone.mp4": "it is a broken link",
        "pipe.mp4": "it is not a regular file",
        "self.mp4": "it cannot be read: Too many levels of symbolic links",
    }


@pytest.mark.parametrize(("name", "printed"), [(b"a\xff.mp4", r"'a\udcff.mp4'"), (b"a\x1b[31m.mp4", r"'a\x1b[31m.mp4'")])
def test_a_name_that_cannot_be_written_is_left_out(tmp_path: Path, name: bytes, printed: str) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).touch()
    (left_out,) = find_videos(tmp_path).left_out
    assert left_out == (printed, "its name has control characters or is not valid UTF-8; rename it")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "closed" / "a.mp4", tmp_path / "b.mp4")
    (tmp_path / "closed").chmod(0)
    found = find_videos(tmp_path)
    assert [video.video_id for video in found.videos] == ["b.mp4"]
    assert found.left_out[0].reason == "the folder cannot be read: Permission denied"


def test_a_path_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"a\.mp4 is a file; name the folder that holds the videos"):
        find_videos(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="nowhere is missing; name the folder that holds the videos"):
        find_videos(tmp_path / "nowhere")

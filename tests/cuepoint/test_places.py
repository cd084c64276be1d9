"""Missing, moved, read-only and wrong folders are refused with a remedy."""

import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cuepoint.__main__ import main
from cuepoint.places import PlaceError, explain_unwritable, name_output, require_index


@pytest.fixture
def videos(small_project: Any, tmp_path: Path) -> Path:
    """Return a folder with one video."""
    (tmp_path / "stick" / "videos").mkdir(parents=True)
    shutil.copyfile(small_project.raw / "videos" / "v0.mp4", tmp_path / "stick" / "videos" / "v0.mp4")
    return tmp_path / "stick" / "videos"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_read_only_place_names_the_option(
    number: int, videos: Path, small_project: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["index", str(videos), "--bundle", str(small_project.bundle), "--workers", "1"]) == 1
    assert capsys.readouterr().err == (
        f"index: error: {videos}-index cannot be written ({os.strerror(number)}: {videos}-index); "
        "name a writable folder with --output FOLDER (make index: INDEX=FOLDER)\n"
    )


def test_a_folder_that_refuses_files_names_the_option(
    videos: Path, small_project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with refusing(videos.parent):
        assert main(["index", str(videos), "--bundle", str(small_project.bundle), "--workers", "1"]) == 1
    assert "with --output FOLDER (make index: INDEX=FOLDER)" in capsys.readouterr().err


class refusing:  # noqa: N801
    """A folder that refuses new files: for root by its immutable attribute, if the file system supports it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        if os.geteuid():
            self.folder.chmod(0o555)
        elif shutil.which("chattr") is None or subprocess.run(["chattr", "+i", self.folder], capture_output=True).returncode:
            pytest.skip("root writes everywhere: this file system has no immutable attribute")

    def __exit__(self, *_: object) -> None:
        if os.geteuid():
            self.folder.chmod(0o755)
        else:
            subprocess.run(["chattr", "-i", self.folder], check=True)


@pytest.mark.parametrize("name", ["index", "index/sub"])
def test_an_output_that_is_a_file_or_inside_one_names_the_option(
    name: str, videos: Path, small_project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (videos.parent / "index").write_text("mine")
    output = str(videos.parent / name)
    assert main(["index", str(videos), "--output", output, "--bundle", str(small_project.bundle), "--workers", "1"]) == 1
    assert f"{output} cannot be written (" in capsys.readouterr().err
    assert (videos.parent / "index").read_text() == "mine"


def test_a_name_that_becomes_too_long_names_the_option(
    tmp_path: Path, small_project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / ("x" * 252)
    folder.mkdir()
    shutil.copyfile(small_project.raw / "videos" / "v0.mp4", folder / "v0.mp4")
    assert main(["index", str(folder), "--bundle", str(small_project.bundle), "--workers", "1"]) == 1
    error = capsys.readouterr().err
    assert "cannot be written (File name too long" in error
    assert "--output FOLDER" in error


def test_errors_about_other_files_and_full_disks_are_left_alone(tmp_path: Path) -> None:
    for error in (OSError(errno.EROFS, "x", str(tmp_path / "other")), OSError(errno.ENOSPC, "x", str(tmp_path / "index"))):
        with pytest.raises(OSError, match="x") as caught, explain_unwritable(tmp_path / "index", "remedy"):
            raise error
        assert caught.value is error


def test_missing_videos_with_an_index_may_have_been_moved(videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = name_output(videos)
    index.mkdir()
    (index / "index.json").write_text("{}")
    videos.rename(videos.parent / "films")
    assert main(["index", str(videos)]) == 1
    error = capsys.readouterr().err
    assert f"{videos} is missing, but its index {index} exists, so the videos may have been moved; connect its disk" in error
    assert error.endswith(f"cuepoint index NEW_FOLDER --output {index}\n")


def test_the_error_of_a_missing_index_names_the_remedies(tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match=r"is missing; if it was moved, name its new folder with --index; if it is on"):
        require_index(tmp_path / "gone")


def test_the_folder_of_the_videos_in_the_place_of_the_index_names_the_index(tmp_path: Path) -> None:
    (tmp_path / "my videos").mkdir()
    with pytest.raises(
        PlaceError, match=r"holds no finished index; if it is a folder of videos, run: cuepoint index '.*/my videos'$"
    ):
        require_index(tmp_path / "my videos")
    (tmp_path / "my videos-index").mkdir()
    (tmp_path / "my videos-index" / "index.json").touch()
    with pytest.raises(PlaceError, match=r"holds no index, but the folder beside it does; use: --index '.*/my videos-index'$"):
        require_index(tmp_path / "my videos")

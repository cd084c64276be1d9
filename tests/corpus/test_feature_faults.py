"""Faults of feature archives: every fault is named with its videos, and pickles are never loaded."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.feature_files.archive import FeatureArchive
from feature_archives import FLAT, FORMATS, HDF5_EACH, NESTED, NPY, NPZ, build, draw, survey, write

FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "width": (lambda: draw(5, 4), r"of another width \(1 videos\): bad \(\(5, 4\), expected \(rows, 3\)\)"),
    "rank": (lambda: draw(5)[:, None], r"of another shape \(1 videos\): bad \(\(5, 1, 3\), expected \(rows, 3\)\)"),
    "scalar": (lambda: np.float32(1.0), r"of another shape \(1 videos\): bad \(\(\), expected"),
    "empty": (lambda: draw(0), r"empty \(1 videos\): bad"),
    "text": (lambda: np.array([[b"a", b"b", b"c"]]), r"no numbers \(1 videos\): bad \(dtype \|S1\)"),
    "complex": (lambda: draw(5).astype(np.complex64), r"no numbers \(1 videos\): bad"),
    "nan": (lambda: np.where(np.arange(15).reshape(5, 3) == 7, np.nan, 1.0), r"not finite \(1 videos\): bad \(row 2 of "),
    "inf": (lambda: np.full((2, 3), -np.inf), r"not finite \(1 videos\): bad \(row 0 of "),
    "large": (lambda: np.full((2, 3), -7e4), r"too large for float16 \(1 videos\): bad \(70000 in .*normalise: l2"),
}


@pytest.mark.parametrize("stream", [NESTED, NPZ, NPY], ids=["nested", "npz", "npy"])
@pytest.mark.parametrize(("make", "message"), FAULTS.values(), ids=FAULTS)
def test_a_video_with_an_unusable_array_is_named_with_the_fault(
    make: Callable[[], Any], message: str, stream: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path, stream, {"good": draw(5), "bad": make()})
    with pytest.raises(ValueError, match=r"the features of 1 of 2 annotated videos cannot be used:\n" + message):
        survey(tmp_path, {"good": 5.0, "bad": 5.0}, stream)


@pytest.mark.parametrize("stream", FORMATS.values(), ids=FORMATS)
def test_all_missing_videos_are_counted_and_the_first_twenty_named(stream: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, stream, {"v_here": draw(5)})
    names = [f"v{number:02d}" for number in range(23)]
    with pytest.raises(ValueError, match=r"features of 23 of 24 annotated") as error:
        survey(tmp_path, dict.fromkeys(["v_here", *names], 5.0), stream)
    message = str(error.value)
    assert "missing (23 videos): v00 (" in message
    assert "v19 (" in message
    assert "v20 (" not in message
    assert "... and 3 more" in message
    assert "v_here" not in message


def test_faults_of_several_kinds_are_all_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, FLAT, {"narrow": draw(5, 2), "empty": draw(0)})
    with pytest.raises(ValueError, match="features of 3 of 3") as error:
        survey(tmp_path, dict.fromkeys(["narrow", "empty", "absent"], 5.0), FLAT)
    assert re.findall(r"^(.+) \(1 videos\)", str(error.value), flags=re.MULTILINE) == ["empty", "missing", "of another width"]


def test_a_group_in_place_of_an_array_is_named_with_its_members(tmp_path: Path) -> None:
    write(tmp_path, NESTED, {"v": draw(5)})
    with pytest.raises(ValueError, match=r"'v' is a group of 'c3d_features'; the preset's `key` must name one"):
        survey(tmp_path, {"v": 5.0}, NESTED | {"key": "{video_id}"})


def test_an_npz_file_without_the_key_is_named_with_the_keys_it_has(tmp_path: Path) -> None:
    write(tmp_path, NPZ | {"key": "arr_0"}, {"v": draw(5)})
    with pytest.raises(ValueError, match=r"v.npz has no 'features', only 'arr_0'"):
        survey(tmp_path, {"v": 5.0}, NPZ)


def test_a_missing_file_of_all_videos_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"features/all.hdf5 does not exist; put the archive's file there"):
        FeatureArchive(tmp_path, build(FLAT))


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", b"half"], ids=["empty", "text", "truncated"])
def test_a_damaged_file_of_all_videos_is_named(content: bytes, tmp_path: Path) -> None:
    write(tmp_path, FLAT, {"v": draw(500)})
    path = tmp_path / "features" / "all.hdf5"
    path.write_bytes(path.read_bytes()[:3000] if content == b"half" else content)
    with pytest.raises(ValueError, match=r"all.hdf5 is not a complete HDF5 file"):
        FeatureArchive(tmp_path, build(FLAT))


@pytest.mark.parametrize("stream", [NPZ, NPY, HDF5_EACH], ids=["npz", "npy", "hdf5 each"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "text"])
def test_a_damaged_file_of_one_video_is_named(stream: dict[str, Any], damage: str, tmp_path: Path) -> None:
    write(tmp_path, stream, {"v": draw(500), "good": draw(5)})
    path = tmp_path / stream["path"].replace("{video_id}", "v")
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "truncated": content[: len(content) // 2], "text": b"<html>not found</html>"}[damage])
    with pytest.raises(ValueError, match=r"unreadable \(1 videos\): v \("):
        survey(tmp_path, {"v": 5.0, "good": 5.0}, stream)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    write(tmp_path, NPY, {"v": np.array([[{"a": 1}]], dtype=object)})
    with pytest.raises(ValueError, match="unreadable|no numbers"):
        survey(tmp_path, {"v": 5.0}, NPY)


def test_damage_inside_a_compressed_member_is_found(tmp_path: Path) -> None:
    write(tmp_path, NPZ, {"v": draw(2000)})
    path = tmp_path / "features" / "clip" / "v.npz"
    with zipfile.ZipFile(path) as archive:
        middle = archive.infolist()[0].header_offset + 2000
    content = bytearray(path.read_bytes())
    content[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"unreadable \(1 videos\): v"):
        survey(tmp_path, {"v": 5.0}, NPZ)


def test_an_id_that_leaves_the_folder_reads_nothing(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    write(root, NPY, {"v": draw(5)})
    np.save(tmp_path / "secret.npy", draw(5))
    with pytest.raises(ValueError, match=r"missing \(1 videos\).*leaves the folder of the corpus"):
        survey(root, {"../../secret": 5.0}, NPY)


@pytest.mark.parametrize("video_id", ["x" * 5000, "a\0b", "a/b", "ä ö", "#?%"])
def test_awkward_ids_are_found_or_named(video_id: str, tmp_path: Path) -> None:
    write(tmp_path, FLAT, {"a/b": draw(5), "ä ö": draw(5), "#?%": draw(5)})
    write(tmp_path, NPY, {"a/b": draw(5), "ä ö": draw(5), "#?%": draw(5)})
    for stream in (FLAT, NPY):
        if len(video_id) < 4 and "\0" not in video_id:
            assert survey(tmp_path, {video_id: 5.0}, stream)[video_id].duration_s == 5.0
        else:
            with pytest.raises(ValueError, match="missing|unreadable"):
                survey(tmp_path, {video_id: 5.0}, stream)

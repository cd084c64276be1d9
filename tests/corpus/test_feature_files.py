"""Feature archives: every format returns the written arrays, and errors name every fault."""

import math
import re
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from corpus.feature_files.archive import FeatureArchive, compute_identity
from corpus.feature_files.schema import FeatureFilesParams
from corpus.feature_files.survey import merge_surveys, survey_features
from corpus.store import Half

WIDTH = 3
FLAT = {"name": "look", "path": "features/all.hdf5", "key": "{video_id}", "width": WIDTH, "normalise": "none"}
NESTED = FLAT | {"path": "features/nested.hdf5", "key": "{video_id}/c3d_features"}
NPZ = FLAT | {"name": "sound", "path": "features/clip/{video_id}.npz", "key": "features"}
NPY = {"name": "sound", "path": "features/{video_id}.npy", "width": WIDTH, "normalise": "none"}
HDF5_EACH = FLAT | {"path": "features/each/{video_id}.h5", "key": "features"}
FORMATS = {"flat": FLAT, "nested": NESTED, "npz": NPZ, "npy": NPY, "hdf5 each": HDF5_EACH}


def write(root: Path, stream: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Write one array per video to the location that a stream reads."""
    for video_id, array in arrays.items():
        path = root / stream["path"].replace("{video_id}", video_id)
        key = stream.get("key", "").replace("{video_id}", video_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            np.save(path, array)
        elif path.suffix == ".npz":
            np.savez_compressed(path, **{key: array})
        else:
            with h5py.File(path, "a") as file:
                file[key] = array


def build(*streams: dict[str, Any], **values: Any) -> FeatureFilesParams:
    return FeatureFilesParams.model_validate({"streams": streams, **values})


def load_streams(root: Path, video_id: str, *streams: dict[str, Any], **values: Any) -> dict[str, Half]:
    with FeatureArchive(root, build(*streams, **values)) as archive:
        found = archive.convert(archive.read(video_id))
    return {name: stream.features for name, stream in found.items()}


def load(root: Path, video_id: str, stream: dict[str, Any]) -> Half:
    return load_streams(root, video_id, stream)[stream["name"]]


def survey(root: Path, durations_s: dict[str, float | None], *streams: dict[str, Any], **values: Any) -> Any:
    with FeatureArchive(root, build(*streams, **values)) as archive:
        return merge_surveys([survey_features(archive, durations_s.items())])


def draw(rows: int, width: int = WIDTH, *, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


@pytest.mark.parametrize("stream", FORMATS.values(), ids=FORMATS)
def test_every_format_gives_the_rows_that_were_written(stream: dict[str, Any], tmp_path: Path) -> None:
    arrays = {"v_a": draw(5), "v_b": draw(7, seed=1)}
    write(tmp_path, stream, arrays)
    for video_id, array in arrays.items():
        features = load(tmp_path, video_id, stream)
        assert (features.shape, features.dtype) == ((len(array), 1, WIDTH), np.float16)
        np.testing.assert_array_equal(features[:, 0], array.astype(np.float16))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.int32, np.uint8])
def test_numbers_of_any_type_are_read(dtype: Any, tmp_path: Path) -> None:
    array = np.arange(12).reshape(4, 3).astype(dtype)
    write(tmp_path, FLAT, {"v": array})
    np.testing.assert_array_equal(load(tmp_path, "v", FLAT)[:, 0], array.astype(np.float16))


def test_streams_are_normalised_one_by_one_and_cut_to_the_shortest(tmp_path: Path) -> None:
    look, sound = draw(6), 100 * draw(5, 2, seed=1)
    look[2] = 0.0
    streams = [FLAT | {"normalise": "l2"}, NPZ | {"width": 2}]
    write(tmp_path, streams[0], {"v": look})
    write(tmp_path, streams[1], {"v": sound})
    features = load_streams(tmp_path, "v", *streams)
    assert {name: stream.shape for name, stream in features.items()} == {"look": (5, 1, 3), "sound": (5, 1, 2)}
    for row in range(5):
        norm = math.sqrt(sum(float(value) ** 2 for value in look[row]))
        expected = [float(value) / norm if norm else 0.0 for value in look[row]]
        np.testing.assert_allclose(features["look"][row, 0], expected, atol=1e-3)
        np.testing.assert_allclose(features["sound"][row, 0], sound[row], rtol=1e-3)


@pytest.mark.parametrize(("difference", "allowed"), [(2, None), (3, 3), (3, None)])
def test_streams_may_differ_by_a_few_rows_and_no_more(difference: int, allowed: int | None, tmp_path: Path) -> None:
    write(tmp_path, FLAT, {"v": draw(10)})
    write(tmp_path, NPZ, {"v": draw(10 + difference)})
    values = {} if allowed is None else {"max_length_difference": allowed}
    if difference <= (allowed or 2):
        assert {len(stream) for stream in load_streams(tmp_path, "v", FLAT, NPZ, **values).values()} == {10}
    else:
        with pytest.raises(ValueError, match=r"of streams that differ in length \(1 videos\): v \(10 and 13 rows\)"):
            survey(tmp_path, {"v": 5.0}, FLAT, NPZ, **values)


def test_values_too_small_to_be_squared_in_float32_are_normalised(tmp_path: Path) -> None:
    write(tmp_path, FLAT, {"v": np.full((1, 3), 1e-25, np.float32)})
    expected = 1e-25 / 1e-12  # the norm is below the smallest divisor
    np.testing.assert_allclose(load(tmp_path, "v", FLAT | {"normalise": "l2"}), expected, atol=1e-7)


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


def test_at_a_fixed_rate_rows_must_fit_the_annotated_duration(tmp_path: Path) -> None:
    write(tmp_path, FLAT, {"fits": draw(73), "short": draw(70), "half": draw(37)})
    durations_s = {"fits": 150.0, "short": 150.0, "half": 150.0}
    with pytest.raises(
        ValueError,
        match=r"of another duration \(2 videos\): half \(37 rows at 0.5 per second, but the annotated duration is 150 s",
    ):
        survey(tmp_path, durations_s, FLAT, clip_rate_hz=0.5)
    assert survey(tmp_path, durations_s, FLAT)["half"].duration_s == 150.0


def test_without_an_annotated_duration_rows_at_a_fixed_rate_tell_it(tmp_path: Path) -> None:
    write(tmp_path, FLAT, {"v": draw(6)})
    assert survey(tmp_path, {"v": None}, FLAT, clip_rate_hz=0.2)["v"].duration_s == 30.0
    with pytest.raises(
        ValueError, match=r"of unknown duration \(1 videos\): v \(neither the annotations give a duration nor the preset"
    ):
        survey(tmp_path, {"v": None}, FLAT)


def test_the_hash_depends_on_the_stored_values_not_on_the_format(tmp_path: Path) -> None:
    for stream in FORMATS.values():
        write(tmp_path, stream, {"v": draw(5), "w": draw(5, seed=1)})
    found = [survey(tmp_path, {"v": 5.0, "w": 5.0}, stream) for stream in FORMATS.values()]
    assert len({videos["v"].sha256 for videos in found}) == 1
    assert found[0]["v"].sha256 != found[0]["w"].sha256


def test_identity_tells_widths_normalisation_and_arrays_apart_but_not_places() -> None:
    contents = {"v": "abc"}

    def identify(stream: dict[str, Any], contents: dict[str, str] = contents) -> dict[str, str]:
        return compute_identity(build(stream).streams[0], contents)

    base = identify(FLAT)
    assert identify(NESTED) == identify(NPY) == base
    assert identify(FLAT | {"width": 2})["settings"] != base["settings"]
    assert identify(FLAT | {"normalise": "l2"})["settings"] != base["settings"]
    assert identify(FLAT, {"v": "abd"})["arrays"] != base["arrays"]


def test_the_hash_of_a_stream_is_that_of_its_own_rows_alone(tmp_path: Path) -> None:
    hashes = []
    for number, seed in enumerate((1, 2)):
        root = tmp_path / str(number)
        write(root, FLAT, {"v": draw(5)})
        write(root, NPZ, {"v": draw(5, seed=seed)})
        with FeatureArchive(root, build(FLAT, NPZ)) as archive:
            hashes.append({name: stream.sha256 for name, stream in archive.convert(archive.read("v")).items()})
    assert hashes[0]["look"] == hashes[1]["look"]
    assert hashes[0]["sound"] != hashes[1]["sound"]


def test_two_streams_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="streams need different names, got look more than once"):
        build(FLAT, NESTED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "/etc/all.hdf5"}, "path must lie below the folder of the corpus"),
        ({"path": "../all.hdf5"}, "path must lie below the folder of the corpus"),
        ({"path": "features/all.mat"}, "path must end in one of .hdf5, .h5, .npz, .npy"),
        ({"key": "features"}, "every video would have the same features"),
        ({"key": ""}, "key names the array in an HDF5 or npz file"),
        ({"path": "{video_id}.npy"}, "key names the array in an HDF5 or npz file and is empty for npy"),
        ({"path": "all.npz"}, "every video would have the same features"),
        ({"width": 0}, "greater than 0"),
        ({"name": "My look"}, "String should match pattern"),
        ({"name": "text_encoder"}, "a stream cannot be called 'text_encoder'"),
        ({"normalise": "l1"}, "'l2' or 'none'"),
    ],
)
def test_streams_that_can_find_no_array_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(FLAT | change)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_features_are_found_in_every_unicode_form_of_their_name(tmp_path: Path, name: str, form: Literal["NFC", "NFD"]) -> None:
    array = draw(4)
    write(tmp_path, FORMATS[name], {unicodedata.normalize(form, "caf\u00e9"): array})
    np.testing.assert_array_equal(load(tmp_path, "caf\u00e9", FORMATS[name])[:, 0], array.astype(np.float16))

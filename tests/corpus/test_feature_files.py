"""Feature archives: every format returns the written arrays, at any rate and under any name."""

import math
import unicodedata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import ValidationError

from corpus.feature_files.archive import FeatureArchive, compute_identity
from feature_archives import FLAT, FORMATS, NESTED, NPY, NPZ, WIDTH, build, draw, load, load_streams, survey, write


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

"""Small archives of features in every format, for the tests of feature files."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from corpus.feature_files.archive import FeatureArchive
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

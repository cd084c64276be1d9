"""Reader of the arrays of one stream. It explains why an array cannot be used."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.feature_files.schema import HDF5_SUFFIXES, VIDEO_ID, FeatureStream
from corpus.names import find_path, find_spelling

_MAX_NAMED = 3
_TOO_LARGE = 65520.0  # from here on, float16 rounds to infinity


class FeatureFault(ValueError):  # noqa: N818 - one video's, collected into an error
    """A defect of the features of one video: its kind, such as "missing", and the detail."""

    def __init__(self, kind: str, detail: str) -> None:
        """Keep kind and detail apart, so that faults can be listed by kind."""
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class ArrayReader:
    """Reader of the arrays of one stream. A file that holds all videos is opened once."""

    def __init__(self, root: Path, stream: FeatureStream) -> None:
        """Open the file of all videos, if the stream has one.

        Raises:
            FileNotFoundError: naming the file, when it is missing.
            ValueError: naming the file, when it is damaged or not HDF5.
        """
        self._root, self._stream = root, stream
        self._is_hdf5 = PurePosixPath(stream.path).suffix in HDF5_SUFFIXES
        self._file = _open_hdf5(root / stream.path) if stream.is_one_file else None

    def close(self) -> None:
        """Close the file of all videos."""
        if self._file is not None:
            self._file.close()

    def read(self, video_id: str) -> NDArray[Any]:
        """Return the stored array of a video: (S, width), not empty, finite also as float16.

        Raises:
            FeatureFault: when the array is missing or cannot be used.
        """
        if "\0" in video_id:
            raise FeatureFault("missing", "HDF5 would truncate the id at its zero byte")
        key = self._stream.key.replace(VIDEO_ID, video_id)
        with _explaining(self._stream.path.replace(VIDEO_ID, video_id)):
            if self._file is not None:
                array = self._read_hdf5(self._file, key)
            else:
                array = self._read_file(self._find_file(video_id), key)
        largest = max(abs(float(array.max())), abs(float(array.min())))  # NaN if any value is
        if not np.isfinite(largest):
            row = int(np.argmin(np.isfinite(array).all(axis=1)))
            raise FeatureFault("not finite", f"row {row} of {self._stream.path}")
        if self._stream.normalise == "none" and largest >= _TOO_LARGE:
            raise FeatureFault("too large for float16", f"{largest:g} in {self._stream.path}; normalise: l2 makes them fit")
        return array

    def _find_file(self, video_id: str) -> Path:
        relative = PurePosixPath(self._stream.path.replace(VIDEO_ID, video_id))
        if ".." in relative.parts or relative.is_absolute():
            raise FeatureFault("missing", f"{relative} leaves the folder of the corpus")
        path = find_path(self._root, str(relative))
        if not path.is_file():
            raise FeatureFault("missing", f"there is no {relative}")
        return path

    def _read_file(self, path: Path, key: str) -> NDArray[Any]:
        if self._is_hdf5:
            with _open_hdf5(path) as file:
                return self._read_hdf5(file, key)
        if not key:
            stored = np.lib.format.open_memmap(path, mode="r")
            self._require_form(stored.shape, stored.dtype)
            return np.array(stored)
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            spelled = key if key in names else find_spelling(key, names)
            if spelled is None:
                raise FeatureFault("missing", f"{path.name} has no {key!r}, only {_name_few(names)}")
            with archive.open(f"{spelled}.npy") as member:
                array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        self._require_form(array.shape, array.dtype)
        return array

    def _read_hdf5(self, file: Any, key: str) -> NDArray[Any]:
        found = file.get(key)
        if found is None and not key.isascii():
            found = _find_other_form(file, key)
        if found is None:
            raise FeatureFault("missing", f"{self._stream.path} has no {key!r}")
        if not hasattr(found, "dtype"):
            raise FeatureFault("of another shape", f"{key!r} is a group of {_name_few(found)}; the preset's `key` must name one")
        self._require_form(found.shape, found.dtype)
        array: NDArray[Any] = found[()]
        return array

    def _require_form(self, shape: tuple[int, ...] | None, dtype: np.dtype[Any]) -> None:
        """Refuse an array by shape and type, before it is read."""
        if dtype.kind not in "fiu":
            raise FeatureFault("no numbers", f"dtype {dtype}")
        if shape is None or len(shape) != 2:
            raise FeatureFault("of another shape", f"{shape}, expected (rows, {self._stream.width})")
        if shape[1] != self._stream.width:
            raise FeatureFault("of another width", f"{shape}, expected (rows, {self._stream.width})")
        if shape[0] == 0:
            raise FeatureFault("empty", f"{shape}")


def _find_other_form(group: Any, key: str) -> Any:
    """Return the member of an HDF5 file whose key has another Unicode form, `None` without any."""
    for part in key.strip("/").split("/"):
        spelled = find_spelling(part, group) if hasattr(group, "keys") else None
        if spelled is None:
            return None
        group = group[spelled]
    return group


@contextmanager
def _explaining(path: str) -> Iterator[None]:
    try:
        yield
    except FeatureFault:
        raise
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise FeatureFault("unreadable", f"{path}: {error or type(error).__name__}") from error


def _open_hdf5(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist; put the archive's file there, or correct `path` in the preset of features"
        )
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} is not a complete HDF5 file ({error}); fetch it again") from error


def _name_few(names: Any) -> str:
    listed = [repr(name) for _, name in zip(range(_MAX_NAMED + 1), names, strict=False)]
    return ", ".join(listed[:_MAX_NAMED]) + (", ..." if len(listed) > _MAX_NAMED else "") or "nothing"

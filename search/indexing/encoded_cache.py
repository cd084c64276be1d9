"""Cache of encoded files on disk, keyed by their content, so that each file is encoded once."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from corpus.files import read_json, sha256_file, sha256_json, write_json
from search.array_files import map_array, write_arrays
from search.indexing.unfinished import UnfinishedFile

T = TypeVar("T")


class EncodedCache(ABC, Generic[T]):
    """Cached encodings: `<sha256>.json` says how a file was encoded, or why it cannot be; the arrays lie beside it.

    `key` names the networks, sampling, decoder and code of all entries. With another key, the cache is empty.
    """

    def __init__(self, folder: Path, key: Sequence[str], *, arrays: Sequence[str]) -> None:
        """Use a folder; `arrays` are the names of the arrays of each file."""
        self._folder, self._arrays = folder / sha256_json(list(key))[:16], tuple(arrays)

    @abstractmethod
    def pack(self, encoded: T) -> tuple[Sequence[NDArray[Any]], Mapping[str, Any]]:
        """Return the arrays of an encoded video in the order of their names, and its facts, `duration_s` among them."""

    @abstractmethod
    def unpack(self, arrays: Sequence[NDArray[Any]], facts: Mapping[str, Any]) -> T:
        """Return the encoded video from the arrays and facts of `pack`."""

    def find_reason(self, sha256: str) -> str:
        """Return the recorded reason why a file cannot be encoded, empty without a record."""
        return str(self._read_entry(sha256).get("reason", ""))

    def load(self, sha256: str) -> T | None:
        """Return the encoded video of a file, `None` if it is missing or damaged."""
        entry = self._read_entry(sha256)
        paths = self._list_arrays(sha256)
        found = [sha256_file(path) if path.is_file() else None for path in paths]
        if "duration_s" not in entry or found != entry["sha256"]:
            return None
        return self.unpack([map_array(path) for path in paths], entry)

    def open_unfinished(self, sha256: str) -> UnfinishedFile:
        """Return the part of a file that a killed process encoded."""
        return UnfinishedFile(self._folder, sha256)

    def save(self, sha256: str, encoded: T) -> None:
        """Keep an encoded video. Its entry comes last and completes it.

        Raises:
            OSError: naming the file, for instance when the disk is full.
        """
        paths = self._list_arrays(sha256)
        arrays, facts = self.pack(encoded)
        for path, array in zip(paths, arrays, strict=True):
            write_arrays(path, [array])
        write_json(self._find_entry(sha256), {**facts, "sha256": list(map(sha256_file, paths))})
        self.open_unfinished(sha256).remove()

    def save_reason(self, sha256: str, reason: str) -> None:
        """Keep why a file cannot be encoded."""
        write_json(self._find_entry(sha256), {"reason": reason})
        self.open_unfinished(sha256).remove()

    def remove(self, sha256: str) -> None:
        """Delete the entry of a file, and what a killed process wrote of it."""
        self._find_entry(sha256).unlink(missing_ok=True)
        for path in self._list_arrays(sha256):
            path.unlink(missing_ok=True)
        self.open_unfinished(sha256).remove()
        for unfinished in self._folder.glob(f".{sha256}.*"):
            unfinished.unlink(missing_ok=True)

    def keep_only(self, kept: Collection[str]) -> None:
        """Delete the entries of all other files, and what killed processes wrote."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name.partition(".")[0] not in kept:
                    path.unlink()

    def remove_others(self, kept: Collection[str]) -> None:
        """Delete the entries of all other files, and what other networks encoded."""
        if not self._folder.is_dir():
            return
        for path in self._folder.parent.iterdir():
            if path != self._folder:
                shutil.rmtree(path)
        self.keep_only(kept)

    def _read_entry(self, sha256: str) -> dict[str, Any]:
        path = self._find_entry(sha256)
        try:
            entry = read_json(path) if path.is_file() else {}
        except ValueError:  # damaged: the file is encoded again
            return {}
        return entry if isinstance(entry, dict) else {}

    def _find_entry(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.json"

    def _list_arrays(self, sha256: str) -> list[Path]:
        return [self._folder / f"{sha256}.{name}.npy" for name in self._arrays]

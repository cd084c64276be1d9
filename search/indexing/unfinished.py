"""Encoded rows of an unfinished file, kept on disk so that a run after a kill does not encode them again.

Letters: S rows of a stream, which are clips or frames; the other axes are those of its features.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corpus.store import Half
from search.array_files import map_array, write_arrays

KEEP_EVERY_S = 10.0  # the most work that a kill can destroy; faster files leave no pieces


class _Piece(NamedTuple):
    first: int  # row of the stream
    digest: str
    path: Path


class UnfinishedFile:
    """Keeps the encoded rows of one file in pieces `<sha256>.part-<stream>-<first row>-<digest>.npy`."""

    def __init__(self, folder: Path, sha256: str) -> None:
        """Use a folder whose contents have one key of the cache; `sha256` is the hash of the file."""
        self._folder, self._sha256 = folder, sha256

    def resume(self, stream: str, encode: Callable[[int], Iterable[Half]], *, rows_per_batch: int) -> Iterator[Half]:
        """Yield the batches of a stream: first the kept ones, then those that `encode` makes, which are kept too.

        All batches but the last one hold `rows_per_batch` rows. Pieces are whole batches, so networks see the same batches
        as in an uninterrupted run.
        """
        kept = self._load(stream)
        num_kept = sum(map(len, kept))
        known = (rows[start : start + rows_per_batch] for rows in kept for start in range(0, len(rows), rows_per_batch))
        return chain(known, self._keep(stream, encode(num_kept), num_kept))

    def remove(self) -> None:
        """Delete all pieces."""
        for path in self._folder.glob(f"{self._sha256}.part-*"):
            path.unlink(missing_ok=True)

    def _keep(self, stream: str, batches: Iterable[Half], first: int) -> Iterator[Half]:
        waiting: list[Half] = []
        written_s = time.monotonic()
        for batch in batches:
            waiting.append(batch)
            if time.monotonic() - written_s >= KEEP_EVERY_S:
                self._write(stream, first, waiting)
                first, waiting, written_s = first + sum(map(len, waiting)), [], time.monotonic()
            yield batch

    def _write(self, stream: str, first: int, batches: list[Half]) -> None:
        path = self._folder / f"{self._sha256}.part-{stream}-{first}-{_digest(batches)}.npy"
        try:
            write_arrays(path, batches)
        except OSError as error:
            raise OSError(str(error)) from error  # without an errno: the cache failed, the video is readable

    def _load(self, stream: str) -> list[Half]:
        """Return the pieces from the first row up to a missing or damaged piece."""
        loaded: list[Half] = []
        num_rows = 0
        for piece in self._list(stream):
            rows = _read(piece) if piece.first == num_rows else None
            if rows is None:
                break
            loaded.append(rows)
            num_rows += len(rows)
        return loaded

    def _list(self, stream: str) -> list[_Piece]:
        pattern = re.compile(rf"{self._sha256}\.part-{re.escape(stream)}-(\d+)-([0-9a-f]+)\.npy")
        found = ((pattern.fullmatch(path.name), path) for path in self._folder.glob(f"{self._sha256}.part-*"))
        return sorted(_Piece(int(match[1]), match[2], path) for match, path in found if match)


def resume(
    unfinished: UnfinishedFile | None, stream: str, encode: Callable[[int], Iterable[Half]], *, rows_per_batch: int
) -> Iterator[Half]:
    """Yield the batches of a stream by `UnfinishedFile.resume`; without `unfinished`, by `encode` from the first row."""
    if unfinished is None:
        return iter(encode(0))
    return unfinished.resume(stream, encode, rows_per_batch=rows_per_batch)


def _read(piece: _Piece) -> Half | None:
    try:
        rows: Half = map_array(piece.path)
    except (ValueError, OSError, EOFError):  # damaged: it is encoded again
        return None
    return rows if _digest([rows]) == piece.digest else None


def _digest(batches: Iterable[Half]) -> str:
    found = hashlib.sha256()
    for batch in batches:
        found.update(np.ascontiguousarray(batch).data)
    return found.hexdigest()[:16]

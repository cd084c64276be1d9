"""Encoding of a file in a worker process."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import sha256_file
from corpus.isolation import Report
from corpus.media import UndecodableError
from search.contracts import EncodedVideos, VideoEncoder
from search.kinds import open_bundle, open_encoder


class HashedFile(NamedTuple):
    """Hash of a file, with the size and modification time that reveal a later write."""

    sha256: str
    size_bytes: int
    time_ns: int


def hash_file(path: Path) -> HashedFile:
    """Hash a file.

    Raises:
        OSError: when it cannot be read.
    """
    status = path.stat()
    return HashedFile(sha256_file(path), status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class EncodeWork:
    """Encodes hashed files; each worker process loads the bundle once."""

    bundle_dir: Path
    bundle_version: str
    files: Mapping[Path, HashedFile]
    num_threads: int = 1  # of the networks

    def __call__(self, path: Path, report: Report, cache: EncodedVideos | None = None) -> Any:
        """Encode one file; `cache` has the part that a killed process encoded.

        Raises:
            ValueError: saying why the file cannot be encoded.
            OSError: when it cannot be read, or was written since it was hashed.
        """
        encoder = _load_encoder(self.bundle_dir, self.bundle_version, self.num_threads)
        unfinished = cache.open_unfinished(self.files[path].sha256) if cache else None
        try:
            return encoder.encode_file(path, report=report, unfinished=unfinished)
        except UndecodableError as error:
            raise ValueError(error.reason) from error
        finally:
            self._require_unchanged(path)

    def _require_unchanged(self, path: Path) -> None:
        status, file = path.stat(), self.files[path]
        if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.time_ns):
            raise OSError("the file changed during the run; run the command again when it is complete")


@dataclass(frozen=True, slots=True)
class KeepWork:
    """Encodes files into the cache, by their content. Large arrays do not leave the worker process."""

    encode: EncodeWork
    cache: EncodedVideos

    def __call__(self, path: Path, report: Report) -> tuple[str, ...]:
        """Encode one file and keep it; return the notes about what was repaired or left out.

        Raises:
            ValueError: saying why the file cannot be encoded.
            OSError: as `EncodeWork`, and when the cache cannot be written.
        """
        encoded = self.encode(path, report, self.cache)
        notes: tuple[str, ...] = encoded.notes
        try:
            self.cache.save(self.encode.files[path].sha256, encoded)
        except OSError as error:
            raise OSError(str(error)) from error  # without an errno: the cache failed, the video is readable
        return notes


@functools.cache
def _load_encoder(bundle_dir: Path, bundle_version: str, num_threads: int) -> VideoEncoder:
    try:
        bundle = open_bundle(bundle_dir)
    except ValueError as error:
        raise OSError(str(error)) from error  # the bundle is at fault, not the file
    if bundle.version != bundle_version:
        raise OSError(f"{bundle_dir} was replaced during the run; run the command again")
    return open_encoder(bundle, num_threads=num_threads)

"""Encoding one file of a folder in a worker process."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from corpus.files import sha256_file
from corpus.isolation import Report
from corpus.media import UndecodableError
from serving.bundle import load_bundle
from serving.indexing import EncodedVideo, VideoIndexer
from serving.video_cache import VideoCache


class HashedFile(NamedTuple):
    """The content of a file, and what changes when the file is written."""

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
    """Encodes files that were hashed before; a worker process loads the bundle once."""

    bundle_dir: Path
    bundle_version: str
    files: Mapping[Path, HashedFile]

    def __call__(self, path: Path, report: Report) -> EncodedVideo:
        """Encode one file.

        Raises:
            ValueError: saying why the file cannot be encoded.
            OSError: when it cannot be read, or was written since it was hashed.
        """
        indexer = _load_indexer(self.bundle_dir, self.bundle_version)
        try:
            return indexer.encode_file(path, report=report)
        except UndecodableError as error:
            raise ValueError(error.reason) from error
        finally:
            self._require_unchanged(path)

    def _require_unchanged(self, path: Path) -> None:
        status, file = path.stat(), self.files[path]
        if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.time_ns):
            raise OSError("it was written meanwhile; run the command again when it is complete")


@dataclass(frozen=True, slots=True)
class KeepWork:
    """Encodes files and keeps them in the cache, by their content; what is large does not leave the worker process."""

    encode: EncodeWork
    cache: VideoCache

    def __call__(self, path: Path, report: Report) -> None:
        """Encode one file and keep it.

        Raises:
            ValueError: saying why the file cannot be encoded.
            OSError: as `EncodeWork`, and when the cache cannot be written.
        """
        encoded = self.encode(path, report)
        try:
            self.cache.save(self.encode.files[path].sha256, encoded)
        except OSError as error:
            raise OSError(str(error)) from error  # it is not the file that cannot be read


@functools.cache
def _load_indexer(bundle_dir: Path, bundle_version: str) -> VideoIndexer:
    try:
        bundle = load_bundle(bundle_dir)
    except ValueError as error:
        raise OSError(str(error)) from error  # it says nothing of the file
    if bundle.version != bundle_version:
        raise OSError(f"{bundle_dir} was replaced meanwhile; run the command again")
    return VideoIndexer(bundle)

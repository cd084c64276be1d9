"""Indexing of uploads: queues their encoding and stores the results."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from corpus.isolation import Failure, Success
from search.contracts import SearchBundle
from search.indexing.encode_work import EncodeWork, HashedFile, KeepWork
from search.kinds import open_cache
from serving.library.catalogue import LimitError
from serving.library.jobs import Job, JobQueue
from serving.library.upload_work import DoneUpload, EncodeOnce, UploadWork
from serving.library.uploads import ORIGINAL, UploadRecord, UploadResult, UploadStore

THUMBNAILS_PER_UPLOAD = 8
MAX_SINGLE_VIDEO_S = 300.0  # limit for a single search, whose sender waits


class IndexedUpload(NamedTuple):
    """Result of an upload, with its encoding for the index if it is ready."""

    result: UploadResult
    encoded: Any | None  # by the models of the service


class UploadIndexer:
    """Encodes uploads as jobs of a queue, with the networks of one bundle."""

    def __init__(
        self, store: UploadStore, jobs: JobQueue, *, bundle: SearchBundle, encoded_dir: Path, max_video_s: float
    ) -> None:
        """Keep what is encoded in `encoded_dir`; longer videos than `max_video_s` are refused."""
        self._store, self._jobs, self._bundle, self._max_video_s = store, jobs, bundle, max_video_s
        self._cache = open_cache(encoded_dir, bundle) if bundle.can_encode else None

    def require_encoder(self) -> None:
        """Refuse new videos if the models read features that came from files.

        Raises:
            LimitError: naming that reason.
        """
        if self._cache is None:
            raise LimitError("the models of this service read features that came from files, so they cannot encode new videos")

    def build_single_work(self, path: Path, sha256: str) -> EncodeOnce:
        """Return the work that encodes a file for a single search."""
        return EncodeOnce(self._build_encode_work(path, sha256), min(self._max_video_s, MAX_SINGLE_VIDEO_S))

    def find_indexed(self, record: UploadRecord) -> IndexedUpload | None:
        """Return the stored result of an upload, `None` if the models still have to encode it."""
        result = self._store.read_result(record.video_id)
        if result is None or result.state == "failed":
            return IndexedUpload(result, None) if result else None
        encoded = self._cache.load(record.sha256) if self._cache else None
        return IndexedUpload(result, encoded) if encoded else None

    def start(self, record: UploadRecord, finish: Callable[[Success[Any] | Failure], None]) -> UploadResult | None:
        """Queue an upload; `finish` gets the outcome of the job. Return a refusal if it cannot be queued."""
        path = self._store.find_folder(record.video_id) / ORIGINAL
        if self._cache is None:
            return UploadResult("failed", reason="the models of this service cannot encode new videos")
        if not path.is_file():
            return UploadResult("failed", reason="its file is missing; delete the upload and upload the video again")
        keep = KeepWork(self._build_encode_work(path, record.sha256), self._cache)
        self._jobs.add(Job(record.video_id, path, UploadWork(keep, self._max_video_s, THUMBNAILS_PER_UPLOAD), finish))
        return None

    def find_progress(self, record: UploadRecord) -> float | None:
        """Return the share of the work on an upload that is done, `None` while it waits."""
        return self._jobs.find_progress(record.video_id)

    def keep(self, record: UploadRecord, outcome: Success[Any] | Failure) -> IndexedUpload:
        """Store the result of an upload.

        Raises:
            OSError: when it cannot be written, or the encoding is missing.
        """
        if isinstance(outcome, Failure):
            indexed = IndexedUpload(UploadResult("failed", reason=outcome.reason), None)
        else:
            done: DoneUpload = outcome.value
            encoded = self._cache.load(record.sha256) if self._cache else None
            if encoded is None:
                raise OSError(f"the encoding of {record.video_id} is missing from the cache")
            length_s, count = encoded.duration_s, THUMBNAILS_PER_UPLOAD
            indexed = IndexedUpload(
                UploadResult("ready", done.reason, length_s, count, done.media_name, done.media_type), encoded
            )
        self._store.save_result(record.video_id, indexed.result)
        return indexed

    def stop(self, record: UploadRecord) -> None:
        """End the work on an upload; when this returns, the work writes nothing more."""
        self._jobs.cancel(record.video_id)

    def discard_strays(self, records: Sequence[UploadRecord]) -> None:
        """Delete all encodings except those of these uploads, whole or partial, which a killed process may leave."""
        if self._cache:
            self._cache.keep_only({record.sha256 for record in records})

    def forget(self, record: UploadRecord) -> None:
        """Delete the encoding of an upload, whole or partial."""
        if self._cache:
            self._cache.remove(record.sha256)

    def _build_encode_work(self, path: Path, sha256: str) -> EncodeWork:
        status = path.stat()
        file = HashedFile(sha256, status.st_size, status.st_mtime_ns)
        return EncodeWork(self._bundle.folder.absolute(), self._bundle.version, {path: file})

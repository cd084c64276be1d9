"""Having uploads encoded, and bringing to disk what became of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from corpus.isolation import Failure, Success
from serving.bundle import Bundle
from serving.encode_work import EncodeWork, HashedFile, KeepWork
from serving.indexing import EncodedVideo
from serving.library.catalogue import LimitError
from serving.library.jobs import Job, JobQueue
from serving.library.upload_work import DoneUpload, EncodeOnce, UploadWork
from serving.library.uploads import ORIGINAL, UploadRecord, UploadResult, UploadStore
from serving.video_cache import VideoCache

THUMBNAILS_PER_UPLOAD = 8
MAX_SINGLE_VIDEO_S = 300.0  # of a video that is asked about once, while its sender waits


class IndexedUpload(NamedTuple):
    """What became of an upload, and what the index is to hold of it where it is ready."""

    result: UploadResult
    encoded: EncodedVideo | None


class UploadIndexer:
    """Encodes uploads by the jobs of a queue, with the networks of one bundle."""

    def __init__(self, store: UploadStore, jobs: JobQueue, *, bundle: Bundle, encoded_dir: Path, max_video_s: float) -> None:
        """Keep what is encoded in `encoded_dir`; longer videos than `max_video_s` are refused."""
        self._store, self._jobs, self._bundle, self._max_video_s = store, jobs, bundle, max_video_s
        self._cache = VideoCache(encoded_dir, bundle.manifest) if bundle.manifest.sampling else None

    def require_encoder(self) -> None:
        """Refuse new videos where the models read features that came from files.

        Raises:
            LimitError: saying so.
        """
        if self._cache is None:
            raise LimitError("the models of this service read features that came from files: they take no new videos")

    def build_single_work(self, path: Path, sha256: str) -> EncodeOnce:
        """Return the work that encodes a file which is asked about once."""
        return EncodeOnce(self._build_encode_work(path, sha256), min(self._max_video_s, MAX_SINGLE_VIDEO_S))

    def find_indexed(self, record: UploadRecord) -> IndexedUpload | None:
        """Return what became of an upload earlier, `None` where that is open: the models may be others than then."""
        result = self._store.read_result(record.video_id)
        if result is None or result.state == "failed":
            return IndexedUpload(result, None) if result else None
        encoded = self._cache.load(record.sha256) if self._cache else None
        return IndexedUpload(result, encoded) if encoded else None

    def start(self, record: UploadRecord, finish: Callable[[Success[Any] | Failure], None]) -> UploadResult | None:
        """Queue an upload, of which `finish` gets what the job gave; return the refusal of one that cannot be queued."""
        path = self._store.find_folder(record.video_id) / ORIGINAL
        if self._cache is None:
            return UploadResult("failed", reason="the models of this service take no new videos")
        if not path.is_file():
            return UploadResult("failed", reason="its file is gone; delete it and upload it again")
        keep = KeepWork(self._build_encode_work(path, record.sha256), self._cache)
        self._jobs.add(Job(record.video_id, path, UploadWork(keep, self._max_video_s, THUMBNAILS_PER_UPLOAD), finish))
        return None

    def find_progress(self, record: UploadRecord) -> float | None:
        """Return the share of the work on an upload that is done, `None` while it waits."""
        return self._jobs.find_progress(record.video_id)

    def keep(self, record: UploadRecord, outcome: Success[Any] | Failure) -> IndexedUpload:
        """Bring to disk what became of an upload.

        Raises:
            OSError: when it cannot be written, or what was encoded is not there.
        """
        if isinstance(outcome, Failure):
            indexed = IndexedUpload(UploadResult("failed", reason=outcome.reason), None)
        else:
            done: DoneUpload = outcome.value
            encoded = self._cache.load(record.sha256) if self._cache else None
            if encoded is None:
                raise OSError(f"what was encoded of {record.video_id} is not in the cache")
            length_s, count = encoded.duration_s, THUMBNAILS_PER_UPLOAD
            indexed = IndexedUpload(
                UploadResult("ready", done.reason, length_s, count, done.media_name, done.media_type), encoded
            )
        self._store.save_result(record.video_id, indexed.result)
        return indexed

    def forget(self, record: UploadRecord) -> None:
        """End the work on an upload and delete what was encoded of it."""
        self._jobs.cancel(record.video_id)
        if self._cache:
            self._cache.remove(record.sha256)

    def _build_encode_work(self, path: Path, sha256: str) -> EncodeWork:
        status = path.stat()
        file = HashedFile(sha256, status.st_size, status.st_mtime_ns)
        return EncodeWork(self._bundle.folder.absolute(), self._bundle.version, {path: file})

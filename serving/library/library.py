"""The videos of a service: those of its index that were not deleted, and uploads, which are indexed while it serves."""

import logging
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from corpus.files import sha256_json
from corpus.isolation import Failure, Success
from serving.collection import IndexedVideo
from serving.indexing import EncodedVideo
from serving.library.catalogue import Brief, CatalogueEntry, LimitError, MediaFile, State
from serving.library.jobs import JobQueue
from serving.library.journal import Journal
from serving.library.media_forms import CollectionMedia
from serving.library.target import SearchTarget
from serving.library.upload_indexing import UploadIndexer
from serving.library.upload_work import EncodeOnce
from serving.library.uploads import ORIGINAL, UploadRecord, UploadResult, UploadStore, name_upload

logger = logging.getLogger("bentoml.cuepoint")


@dataclass(frozen=True, slots=True)
class LibraryLimits:
    """How much a library takes."""

    max_uploads: int
    max_video_s: float


class VideoLibrary:
    """All that can be listed, played and deleted. What it says it has done is on disk.

    Changes take a lock; reading takes none, for an answer must not wait for a disk.
    """

    def __init__(
        self, predictor: SearchTarget, media: CollectionMedia, *, state_dir: Path, jobs: JobQueue, limits: LibraryLimits
    ) -> None:
        """Open a state folder over a predictor that holds the collection alone; `restore` brings the rest."""
        self._predictor, self._media, self._max_uploads = predictor, media, limits.max_uploads
        self._base = dict(predictor.collection.videos)
        self._store = UploadStore(state_dir)
        self._deletions = Journal(state_dir / "deletions.jsonl")
        self._indexer = UploadIndexer(
            self._store, jobs, bundle=predictor.bundle, encoded_dir=state_dir / "encoded", max_video_s=limits.max_video_s
        )
        self._records = {record.video_id: record for record in self._store.read_records()}
        self._results: dict[str, UploadResult] = {}
        self._deleted: set[str] = set()
        self._lock = threading.Lock()
        self.version = ""  # the hash of what can be found

    @property
    def store(self) -> UploadStore:
        """Where files arrive."""
        return self._store

    def restore(self) -> None:
        """Bring the predictor to what was acknowledged: without what was deleted, with what was indexed; queue the rest."""
        for row in self._deletions.read():
            if row["video_id"] in self._base:
                self._hide(row["video_id"])
        for record in self._records.values():
            indexed = self._indexer.find_indexed(record)
            if indexed is None:
                self._start(record)
            else:
                self._show(record, indexed.result, indexed.encoded)
        self._predictor.discard_strays()
        self._renew_version()

    def list_videos(self, offset: int, limit: int, *, search: str = "") -> tuple[list[CatalogueEntry], int]:
        """Return a part of the catalogue, uploads first, the newest of them first, and the number of all.

        With `search`, only of the videos whose title or id holds it, whatever the case.
        """
        uploads = [record.video_id for record in sorted(self._records.values(), key=lambda record: -record.number)]
        ids = uploads + [video_id for video_id in self._base if video_id not in self._deleted]
        ids = [video_id for video_id in ids if self._is_named(video_id, search.casefold())]
        return [entry for video_id in ids[offset : offset + limit] if (entry := self._find(video_id))], len(ids)

    def find_video(self, video_id: str) -> CatalogueEntry:
        """Return what is known of a video.

        Raises:
            KeyError: naming an id that there is not.
        """
        entry = self._find(video_id)
        if entry is None:
            raise KeyError(f"there is no video {video_id!r}; GET /videos lists those that there are")
        return entry

    def find_brief(self, video_id: str) -> Brief:
        """Return what is shown of a video beside a moment of it, also when it was deleted since the moment was found."""
        record, result = self._records.get(video_id), self._results.get(video_id)
        if record and result:
            return Brief(record.title, result.duration_s, result.num_thumbnails)
        if video_id in self._base:
            return Brief(video_id, self._base[video_id].duration_s, self._media.count_thumbnails(video_id))
        return Brief(video_id, 0.0, 0)

    def require_room(self) -> None:
        """Refuse another upload where none can be encoded, or when there are as many as may be.

        Raises:
            LimitError: saying which it is.
        """
        self.require_encoder()
        if len(self._records) >= self._max_uploads:
            raise LimitError(f"there are {len(self._records)} uploads, the most that are kept; delete one first")

    def require_encoder(self) -> None:
        """Refuse new videos where the models read features that came from files.

        Raises:
            LimitError: saying so.
        """
        self._indexer.require_encoder()

    def build_single_work(self, path: Path, sha256: str) -> EncodeOnce:
        """Return the work that encodes a file which is asked about once."""
        return self._indexer.build_single_work(path, sha256)

    def accept(self, folder: Path, *, title: str, sha256: str, size_bytes: int) -> CatalogueEntry:
        """Keep and queue a file that has arrived in a folder of the store; a file that is here already is not kept twice.

        Raises:
            LimitError: when there are as many uploads as may be.
            OSError: when it cannot be written.
        """
        video_id = name_upload(sha256)
        with self._lock:
            known, result = self._records.get(video_id), self._results.get(video_id)
            if known and not (result and result.state == "failed"):
                self._store.discard(folder)
                return self.find_video(video_id)
            if known is None:
                self.require_room()
            self._results.pop(video_id, None)
            record = self._store.accept(folder, title=title, sha256=sha256, size_bytes=size_bytes)
            self._records[video_id] = record
            self._start(record)
            return self.find_video(video_id)

    def remove(self, video_id: str) -> None:
        """Delete a video: an upload with all that was made of it, a video of the collection from sight.

        Raises:
            KeyError: naming an id that there is not.
            OSError: when it cannot be written.
        """
        with self._lock:
            self.find_video(video_id)
            if video_id not in self._records:
                self._deletions.append({"video_id": video_id})
                self._hide(video_id)
                self._renew_version()
                return
            record = self._records[video_id]
            self._store.remove(video_id)
            self._indexer.forget(record)
            if self._is_ready(video_id):
                self._predictor.remove_video(video_id)
            del self._records[video_id]
            self._results.pop(video_id, None)
            self._renew_version()

    def find_media(self, video_id: str) -> MediaFile:
        """Return the file of a video that browsers play.

        Raises:
            KeyError: naming an id that there is not.
            FileNotFoundError: saying why there is no such file.
            ConvertingError: when it is being made.
        """
        entry = self.find_video(video_id)
        if video_id not in self._records:
            return self._media.find_file(self._base[video_id])
        result = self._results.get(video_id)
        if entry.state != "ready" or result is None or not result.media_name:
            raise FileNotFoundError(f"video {video_id!r} cannot be played: {entry.reason or 'it is not indexed yet'}")
        return MediaFile(self._store.find_folder(video_id) / result.media_name, result.media_type)

    def find_thumbnail(self, video_id: str, number: int) -> Path:
        """Return a thumbnail of a video, numbered from 0 in the order of time.

        Raises:
            KeyError: naming an id that there is not.
            FileNotFoundError: when there is no such thumbnail.
        """
        entry = self.find_video(video_id)
        folder = self._store.find_folder(video_id) if video_id in self._records else self._media.find_thumbnails(video_id)
        if not 0 <= number < entry.num_thumbnails:
            raise FileNotFoundError(f"video {video_id!r} has no thumbnail {number}; it has {entry.num_thumbnails}")
        return folder / f"{number}.jpg"

    def count_videos(self) -> int:
        """Return how many videos can be found."""
        return len(self._base) - len(self._deleted) + sum(map(self._is_ready, list(self._results)))

    def _is_named(self, video_id: str, text: str) -> bool:
        record = self._records.get(video_id)
        return not text or text in video_id.casefold() or (record is not None and text in record.title.casefold())

    def _find(self, video_id: str) -> CatalogueEntry | None:
        record = self._records.get(video_id)
        if record:
            return self._describe_upload(record)
        if video_id in self._base and video_id not in self._deleted:
            return self._media.describe(self._base[video_id])
        return None

    def _describe_upload(self, record: UploadRecord) -> CatalogueEntry:
        result = self._results.get(record.video_id)
        if result is None:
            progress = self._indexer.find_progress(record)
            state: State = "waiting" if progress is None else "indexing"
            return CatalogueEntry(record.video_id, record.title, None, "upload", state, progress or 0.0, "", 0, "no")
        return CatalogueEntry(
            video_id=record.video_id,
            title=record.title,
            duration_s=result.duration_s if result.state == "ready" else None,
            origin="upload",
            state=result.state,
            progress=1.0 if result.state == "ready" else 0.0,
            reason=result.reason,
            num_thumbnails=result.num_thumbnails,
            playable="yes" if result.media_name else "no",
        )

    def _renew_version(self) -> None:
        uploads = sorted(record.sha256 for video_id, record in self._records.items() if self._is_ready(video_id))
        collection = [[video.video_id, video.sha256] for video in self._base.values() if video.video_id not in self._deleted]
        self.version = sha256_json([collection, uploads])[:12]

    def _is_ready(self, video_id: str) -> bool:
        result = self._results.get(video_id)
        return result is not None and result.state == "ready"

    def _hide(self, video_id: str) -> None:
        if video_id not in self._deleted:
            self._deleted.add(video_id)
            self._predictor.remove_video(video_id)

    def _show(self, record: UploadRecord, result: UploadResult, encoded: EncodedVideo | None) -> None:
        """Let it be seen what became of an upload, and let one that is ready be found."""
        if encoded is not None:
            video = IndexedVideo(record.video_id, ORIGINAL, encoded.duration_s, "", record.sha256)
            self._predictor.add_video(video, encoded)
        self._results[record.video_id] = result

    def _start(self, record: UploadRecord) -> None:
        refusal = self._indexer.start(record, partial(self._finish, record))
        if refusal:
            self._results[record.video_id] = refusal

    def _finish(self, record: UploadRecord, outcome: Success[Any] | Failure) -> None:
        with self._lock:
            if self._records.get(record.video_id) is not record:
                return
            try:
                self._show(record, *self._indexer.keep(record, outcome))
            except OSError as error:  # it is tried again when the service starts again
                logger.error("the upload %s could not be kept: %s", record.video_id, error)
                reason = "what was made of it could not be kept; the service may be out of room"
                self._results[record.video_id] = UploadResult("failed", reason=reason)
            self._renew_version()

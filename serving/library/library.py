"""The library: videos of the index that were not deleted, and uploads, which are indexed in the background."""

import logging
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from corpus.files import sha256_json
from corpus.isolation import Failure, Success
from corpus.names import fold_name, unify
from search.indexed_video import IndexedVideo
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
    """Limits on uploads."""

    max_uploads: int
    max_video_s: float


class VideoLibrary:
    """All videos that can be listed, played and deleted. Changes are on disk before they are acknowledged.

    Changes take a lock; reads take none, because an answer must not wait for a disk.
    """

    def __init__(
        self, predictor: SearchTarget, media: CollectionMedia, *, state_dir: Path, jobs: JobQueue, limits: LibraryLimits
    ) -> None:
        """Open a state folder with a predictor that holds only the collection; `restore` applies the stored changes."""
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
        self.version = ""  # hash of the videos that can be found

    @property
    def store(self) -> UploadStore:
        """The store that receives files."""
        return self._store

    def restore(self) -> None:
        """Apply all acknowledged deletions and indexed uploads to the predictor, and queue the other uploads."""
        for row in self._deletions.read():
            if unify(row["video_id"]) in self._base:
                self._hide(unify(row["video_id"]))
        self._indexer.discard_strays(list(self._records.values()))
        for record in self._records.values():
            indexed = self._indexer.find_indexed(record)
            if indexed is None:
                self._start(record)
            else:
                self._show(record, indexed.result, indexed.encoded)
        self._predictor.discard_strays()
        self._renew_version()

    def close(self) -> None:
        """Close the journal of deletions; no video of the collection can be deleted afterwards."""
        self._deletions.close()

    def list_videos(self, offset: int, limit: int, *, search: str = "") -> tuple[list[CatalogueEntry], int]:
        """Return a part of the catalogue, uploads first, newest first, and the total number of videos.

        `search` keeps only videos whose title or id contains it, in any case.
        """
        uploads = [record.video_id for record in sorted(self._records.values(), key=lambda record: -record.number)]
        ids = uploads + [video_id for video_id in self._base if video_id not in self._deleted]
        ids = [video_id for video_id in ids if self._is_named(video_id, fold_name(search))]
        return [entry for video_id in ids[offset : offset + limit] if (entry := self._find(video_id))], len(ids)

    def find_video(self, video_id: str) -> CatalogueEntry:
        """Return the catalogue entry of a video.

        Raises:
            KeyError: naming an unknown id.
        """
        entry = self._find(video_id)
        if entry is None:
            raise KeyError(f"there is no video {video_id!r}; GET /videos lists the videos")
        return entry

    def find_brief(self, video_id: str) -> Brief:
        """Return the facts of a video that are shown with its moments, even if it was deleted after the search."""
        record, result = self._records.get(video_id), self._results.get(video_id)
        if record and result:
            return Brief(record.title, result.duration_s, result.num_thumbnails)
        if video_id in self._base:
            return Brief(video_id, self._base[video_id].duration_s, self._media.count_thumbnails(video_id))
        return Brief(video_id, 0.0, 0)

    def require_room(self) -> None:
        """Refuse another upload if the service cannot encode it or the number of uploads is at its limit.

        Raises:
            LimitError: naming the reason.
        """
        self.require_encoder()
        if len(self._records) >= self._max_uploads:
            raise LimitError(f"there are {len(self._records)} uploads, which is the limit; delete one first")

    def require_encoder(self) -> None:
        """Refuse new videos if the models read features that came from files.

        Raises:
            LimitError: naming that reason.
        """
        self._indexer.require_encoder()

    def build_single_work(self, path: Path, sha256: str) -> EncodeOnce:
        """Return the work that encodes a file for a single search."""
        return self._indexer.build_single_work(path, sha256)

    def accept(self, folder: Path, *, title: str, sha256: str, size_bytes: int) -> CatalogueEntry:
        """Keep and queue a file that was received into a folder of the store. A known file is not kept twice.

        Raises:
            LimitError: when the number of uploads is at its limit.
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
        """Delete a video. An upload is erased with everything made from it; a video of the collection is hidden.

        Raises:
            KeyError: naming an unknown id.
            OSError: when it cannot be written.
        """
        with self._lock:
            self.find_video(video_id)
            if video_id not in self._records:
                self._deletions.append({"video_id": video_id})
                self._hide(video_id)
                self._renew_version()
                return
            self._remove_upload(self._records[video_id])
            self._renew_version()

    def _remove_upload(self, record: UploadRecord) -> None:
        """End the work on an upload, delete its folder durably, then everything else made from it."""
        self._indexer.stop(record)
        self._store.remove(record.video_id)
        self._indexer.forget(record)
        if self._is_ready(record.video_id):
            self._predictor.remove_video(record.video_id)
        del self._records[record.video_id]
        self._results.pop(record.video_id, None)

    def find_media(self, video_id: str) -> MediaFile:
        """Return the playable file of a video.

        Raises:
            KeyError: naming an unknown id.
            FileNotFoundError: saying why there is none.
            ConvertingError: while it is being converted.
        """
        entry = self.find_video(video_id)
        if video_id not in self._records:
            return self._media.find_file(self._base[video_id])
        result = self._results.get(video_id)
        if entry.state != "ready" or result is None or not result.media_name:
            raise FileNotFoundError(f"video {video_id!r} cannot be played: {entry.reason or 'it is not indexed yet'}")
        return MediaFile(self._store.find_folder(video_id) / result.media_name, result.media_type)

    def find_thumbnail(self, video_id: str, number: int) -> Path:
        """Return a thumbnail of a video, numbered from 0 in order of time.

        Raises:
            KeyError: naming an unknown id.
            FileNotFoundError: when there is no such thumbnail.
        """
        entry = self.find_video(video_id)
        folder = self._store.find_folder(video_id) if video_id in self._records else self._media.find_thumbnails(video_id)
        if not 0 <= number < entry.num_thumbnails:
            raise FileNotFoundError(f"video {video_id!r} has no thumbnail {number}; it has {entry.num_thumbnails}")
        return folder / f"{number}.jpg"

    def count_videos(self) -> int:
        """Return the number of videos that a search can find."""
        return len(self._base) - len(self._deleted) + sum(map(self._is_ready, list(self._results)))

    def _is_named(self, video_id: str, text: str) -> bool:
        record = self._records.get(video_id)
        return not text or text in fold_name(video_id) or (record is not None and text in fold_name(record.title))

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
            self._media.stop(self._base[video_id])
            self._predictor.remove_video(video_id)

    def _show(self, record: UploadRecord, result: UploadResult, encoded: Any | None) -> None:
        """Publish the result of an upload, and make it searchable if it is ready."""
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
            except OSError as error:  # the next start of the service tries again
                logger.error("the upload %s could not be stored: %s", record.video_id, error)
                reason = "its index could not be stored; the disk of the service may be full"
                self._results[record.video_id] = UploadResult("failed", reason=reason)
            self._renew_version()

"""Keeps the challenger's collection equal to the champion's: it follows uploads and deletions."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from corpus.isolation import Failure, Report, Success
from search.contracts import EncodedVideos, Predictor, SearchBundle, VideoCollection
from search.indexed_video import IndexedVideo
from search.indexing.encode_work import EncodeWork, HashedFile, KeepWork
from search.kinds import open_cache
from serving.library.jobs import Job, JobQueue
from serving.library.upload_work import yield_to_searches
from serving.library.uploads import find_original


@dataclass(frozen=True, slots=True)
class FollowWork:
    """Encodes an upload of the champion into the challenger's cache."""

    keep: KeepWork

    def __call__(self, path: Path, report: Report) -> None:
        """Encode one file and keep it.

        Raises:
            ValueError: saying why it cannot be encoded.
            OSError: when it cannot be read or kept.
        """
        yield_to_searches()
        self.keep(path, report)


class CollectionFollower:
    """Keeps the collection of a challenger equal to the champion's, and passes failures to `fail`.

    A challenger that encodes like the champion takes the champion's encoded videos. Any other encodes uploads itself, in
    the queue of the library after the champion, and is behind until that is done.
    """

    def __init__(
        self, predictor: Predictor, leader: SearchBundle, *, state_dir: Path, jobs: JobQueue, fail: Callable[[str], None]
    ) -> None:
        """Follow a champion whose models are `leader`; encoded uploads are kept in the state folder."""
        self._predictor: Predictor | None = predictor  # None after `stop`
        self._state_dir, self._jobs, self._fail = state_dir, jobs, fail
        self._cache = _open_cache(state_dir, predictor.bundle, leader)
        self._is_alike = _encode_alike(predictor.bundle, leader)
        self._missing: dict[str, IndexedVideo] = {}
        self._lock = threading.RLock()

    @property
    def is_behind(self) -> bool:
        """Whether uploads are not encoded yet."""
        return bool(self._missing)

    def add_video(self, video: IndexedVideo, encoded: Any) -> None:
        """Add a video that the champion added and encoded; never raises."""
        self._try(f"add the upload {video.video_id!r}", lambda predictor: self._add(predictor, video, encoded))

    def remove_video(self, video_id: str) -> None:
        """Remove a video that the champion is about to remove; never raises."""
        self._try(f"remove the video {video_id!r}", lambda predictor: self._remove(predictor, video_id))

    def discard_strays(self) -> None:
        """Delete all encodings except those of the challenger's videos, which a killed process may leave; never raises."""
        self._try("delete the encodings of a killed process", self._discard_strays)

    def stop(self) -> None:
        """Stop following, and release the models."""
        with self._lock:
            self._predictor = None
            for video_id in self._missing:
                self._jobs.cancel(_name_job(video_id))
            self._missing.clear()

    def _try(self, what: str, change: Callable[[Predictor], None]) -> None:
        try:
            with self._lock:
                if self._predictor is not None:
                    change(self._predictor)
        except Exception as error:  # a challenger may fail in any way; the champion's library continues
            self._fail(f"it could not {what}: {type(error).__name__}: {error}")

    def _add(self, predictor: Predictor, video: IndexedVideo, encoded: Any) -> None:
        if self._is_alike:
            predictor.add_video(video, encoded)
            return
        if self._cache is None:
            raise ValueError("its bundle lacks the encoder of a stream")
        known = self._cache.load(video.sha256)
        if known is not None:
            predictor.add_video(video, known)
            return
        path, bundle = find_original(self._state_dir, video.video_id), predictor.bundle
        status = path.stat()
        files = {path: HashedFile(video.sha256, status.st_size, status.st_mtime_ns)}
        work = FollowWork(KeepWork(EncodeWork(bundle.folder.absolute(), bundle.version, files), self._cache))
        self._missing[video.video_id] = video
        self._jobs.add(Job(_name_job(video.video_id), path, work, partial(self._finish, video)))

    def _discard_strays(self, predictor: Predictor) -> None:
        if self._cache:
            known = [*predictor.collection.videos.values(), *self._missing.values()]
            self._cache.keep_only({video.sha256 for video in known})

    def _remove(self, predictor: Predictor, video_id: str) -> None:
        video = self._missing.pop(video_id, None)
        if video is None:
            video = predictor.collection.find_video(video_id)
            predictor.remove_video(video_id)
        else:
            self._jobs.cancel(_name_job(video_id))
        if self._cache:
            self._cache.remove(video.sha256)

    def _finish(self, video: IndexedVideo, outcome: Success[Any] | Failure) -> None:
        self._try(f"encode the upload {video.video_id!r}", lambda predictor: self._keep(predictor, video, outcome))

    def _keep(self, predictor: Predictor, video: IndexedVideo, outcome: Success[Any] | Failure) -> None:
        if self._missing.get(video.video_id) is not video:
            return
        if isinstance(outcome, Failure):
            raise ValueError(outcome.reason)
        encoded = self._cache.load(video.sha256) if self._cache else None
        if encoded is None:
            raise ValueError("its encoding is damaged")
        predictor.add_video(video, encoded)
        del self._missing[video.video_id]


class FollowedPredictor:
    """The champion's predictor for the library; a challenger follows its changes."""

    def __init__(self, champion: Predictor, follower: CollectionFollower) -> None:
        """Add to the champion first, but delete from the challenger first, so that a deleted video is gone from both."""
        self._champion, self._follower = champion, follower

    @property
    def bundle(self) -> SearchBundle:
        """The champion's bundle."""
        return self._champion.bundle

    @property
    def collection(self) -> VideoCollection:
        """The champion's collection."""
        return self._champion.collection

    def add_video(self, video: IndexedVideo, encoded: Any) -> None:
        """Add a video to the champion's collection, and let the challenger follow.

        Raises:
            ValueError: as `Predictor.add_video`.
        """
        self._champion.add_video(video, encoded)
        self._follower.add_video(video, encoded)

    def discard_strays(self) -> None:
        """Delete the champion's vectors and the challenger's encodings that a killed process may have left."""
        self._champion.discard_strays()
        self._follower.discard_strays()

    def remove_video(self, video_id: str) -> None:
        """Remove a video from both collections.

        Raises:
            KeyError: as `Predictor.remove_video`.
        """
        self._follower.remove_video(video_id)
        self._champion.remove_video(video_id)


def _name_job(video_id: str) -> str:
    return f"challenger {video_id}"


def _encode_alike(one: SearchBundle, other: SearchBundle) -> bool:
    return one.can_encode and other.can_encode and one.encoding == other.encoding


def _open_cache(state_dir: Path, bundle: SearchBundle, leader: SearchBundle) -> EncodedVideos | None:
    if not bundle.can_encode or _encode_alike(bundle, leader):
        return None
    return open_cache(state_dir / "encoded-challenger", bundle)

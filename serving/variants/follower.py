"""The challenger's collection follows the champion's: what is uploaded or deleted there is here as well, or soon will be."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from corpus.isolation import Failure, Report, Success
from serving.bundle import Bundle, Manifest
from serving.collection import Collection, IndexedVideo
from serving.encode_work import EncodeWork, HashedFile, KeepWork
from serving.indexing import EncodedVideo
from serving.library.jobs import Job, JobQueue
from serving.library.upload_work import yield_to_searches
from serving.library.uploads import find_original
from serving.predictor import MomentPredictor
from serving.video_cache import VideoCache, name_encoding


@dataclass(frozen=True, slots=True)
class FollowWork:
    """Encodes an upload that the champion holds already, into the challenger's cache."""

    keep: KeepWork

    def __call__(self, path: Path, report: Report) -> None:
        """Encode one file and keep it.

        Raises:
            ValueError: saying why it cannot be encoded.
            OSError: when it cannot be read, or not be kept.
        """
        yield_to_searches()
        self.keep(path, report)


class CollectionFollower:
    """Keeps the collection of a challenger equal to the champion's; a video that it cannot take is told to `fail`.

    A challenger that encodes as the champion does takes the champion's encoded videos. Any other encodes uploads itself, in
    the queue of the library, after the champion: until that is done it is behind.
    """

    def __init__(
        self, predictor: MomentPredictor, leader: Manifest, *, state_dir: Path, jobs: JobQueue, fail: Callable[[str], None]
    ) -> None:
        """Follow a champion whose models are `leader`; encoded uploads are kept in the state folder."""
        self._predictor: MomentPredictor | None = predictor  # None when it follows no longer
        self._state_dir, self._jobs, self._fail = state_dir, jobs, fail
        self._cache = _open_cache(state_dir, predictor.bundle.manifest, leader)
        self._is_alike = _encode_alike(predictor.bundle.manifest, leader)
        self._missing: dict[str, IndexedVideo] = {}
        self._lock = threading.RLock()

    @property
    def is_behind(self) -> bool:
        """Whether uploads are not encoded yet."""
        return bool(self._missing)

    def add_video(self, video: IndexedVideo, encoded: EncodedVideo) -> None:
        """Take a video that the champion took and encoded; never fails."""
        self._try(f"take the upload {video.video_id!r}", lambda predictor: self._add(predictor, video, encoded))

    def remove_video(self, video_id: str) -> None:
        """Leave out a video that the champion will leave out; never fails."""
        self._try(f"leave out the video {video_id!r}", lambda predictor: self._remove(predictor, video_id))

    def stop(self) -> None:
        """Follow no longer, and let go of the models."""
        with self._lock:
            self._predictor = None
            for video_id in self._missing:
                self._jobs.cancel(_name_job(video_id))
            self._missing.clear()

    def _try(self, what: str, change: Callable[[MomentPredictor], None]) -> None:
        try:
            with self._lock:
                if self._predictor is not None:
                    change(self._predictor)
        except Exception as error:  # of a challenger nothing is trusted: the champion's library goes on
            self._fail(f"it could not {what}: {type(error).__name__}: {error}")

    def _add(self, predictor: MomentPredictor, video: IndexedVideo, encoded: EncodedVideo) -> None:
        if self._is_alike:
            predictor.add_video(video, encoded)
            return
        if self._cache is None:
            raise ValueError("its bundle has no video encoder")
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

    def _remove(self, predictor: MomentPredictor, video_id: str) -> None:
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

    def _keep(self, predictor: MomentPredictor, video: IndexedVideo, outcome: Success[Any] | Failure) -> None:
        if self._missing.get(video.video_id) is not video:
            return
        if isinstance(outcome, Failure):
            raise ValueError(outcome.reason)
        encoded = self._cache.load(video.sha256) if self._cache else None
        if encoded is None:
            raise ValueError("what was encoded of it is damaged")
        predictor.add_video(video, encoded)
        del self._missing[video.video_id]


class FollowedPredictor:
    """The champion's models as the library sees them: what it changes there, a challenger follows."""

    def __init__(self, champion: MomentPredictor, follower: CollectionFollower) -> None:
        """Change the champion first, except that what is deleted is gone from both when it is gone from the champion."""
        self._champion, self._follower = champion, follower

    @property
    def bundle(self) -> Bundle:
        """The champion's."""
        return self._champion.bundle

    @property
    def collection(self) -> Collection:
        """The champion's."""
        return self._champion.collection

    def add_video(self, video: IndexedVideo, encoded: EncodedVideo) -> None:
        """Put a video into the champion's collection, and let the challenger follow.

        Raises:
            ValueError: as `MomentPredictor.add_video`.
        """
        self._champion.add_video(video, encoded)
        self._follower.add_video(video, encoded)

    def discard_strays(self) -> None:
        """Delete what a killed process may have left of the champion's vectors; the challenger's are in this process alone."""
        self._champion.discard_strays()

    def remove_video(self, video_id: str) -> None:
        """Take a video out of both collections.

        Raises:
            KeyError: as `MomentPredictor.remove_video`.
        """
        self._follower.remove_video(video_id)
        self._champion.remove_video(video_id)


def _name_job(video_id: str) -> str:
    return f"challenger {video_id}"


def _encode_alike(one: Manifest, other: Manifest) -> bool:
    return None not in (one.sampling, other.sampling) and name_encoding(one) == name_encoding(other)


def _open_cache(state_dir: Path, manifest: Manifest, leader: Manifest) -> VideoCache | None:
    if manifest.sampling is None or _encode_alike(manifest, leader):
        return None
    return VideoCache(state_dir / "encoded-challenger", manifest)

"""Cache of decoded clips on disk, one file per video, so that epochs and runs decode each video once. It changes no result."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from corpus.files import remove_all_but, sha256_json, write_file
from corpus.isolation import Budget, Report
from corpus.media import ClipSampling, compute_clip_times, decoder_version, iter_clips
from corpus.records import Video
from pipeline.executors.decoding import decode_videos
from pipeline.executors.machine import count_workers
from pipeline.identity import hash_code


class ClipCache:
    """The clips of videos as `<folder>/<sampling, decoder and code>/<sha256 of the video>.npy`, each (S, K, H, W, 3) uint8."""

    def __init__(
        self,
        folder: Path,
        *,
        videos: Sequence[Video],
        media_dir: Path,
        sampling: ClipSampling,
        budget: Budget | None = None,
    ) -> None:
        """Set the videos and the sampling of their clips; decodes nothing yet."""
        code = hash_code(type(self))
        self.folder = folder / sha256_json([sampling.model_dump(mode="json"), decoder_version(), code])[:16]
        self._videos = {video.video_id: video for video in videos}
        self._media_dir, self._sampling, self._budget = media_dir, sampling, budget

    def fill(self) -> None:
        """Decode the missing videos in worker processes; an interruption keeps the finished files.

        Raises:
            ValueError: naming the videos that cannot be decoded, after the others are finished.
        """
        targets = {self._find_path(video): video for video in self._videos.values()}
        missing = {
            video.locate(self._media_dir): (video, path)
            for path, video in targets.items()
            if not _is_whole(path, video, self._sampling)
        }
        work = _DecodeWork(missing, self._sampling, num_threads=max(1, count_workers() // max(1, len(missing))))
        done = decode_videos(work, list(missing), budget=self._budget)
        for _ in tqdm(done, total=len(missing), desc="decode", unit="video", disable=not missing):
            pass

    def count_clips(self, video_id: str) -> int:
        """Return the number of clips of a video."""
        return len(compute_clip_times(self._videos[video_id].duration_s, self._sampling))

    def load(self, video_id: str, clips: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Read some clips of a video: (n, K, H, W, 3)."""
        stored = np.load(self._find_path(self._videos[video_id]), mmap_mode="r")
        return np.asarray(stored[clips])

    def remove_others(self) -> None:
        """Delete the clips of all other videos, samplings, decoders and code."""
        remove_all_but(self.folder.parent, {self.folder})
        remove_all_but(self.folder, {self._find_path(video) for video in self._videos.values()})

    def _find_path(self, video: Video) -> Path:
        return self.folder / f"{video.sha256}.npy"


def _is_whole(path: Path, video: Video, sampling: ClipSampling) -> bool:
    """Tell whether a file has all its bytes; a truncated file is decoded again."""
    shape = _compute_shape(video.duration_s, sampling)
    return path.is_file() and path.stat().st_size == len(_build_header(shape)) + math.prod(shape)


def _compute_shape(duration_s: float, sampling: ClipSampling) -> tuple[int, ...]:
    """Return (S, K, H, W, 3)."""
    num_clips = len(compute_clip_times(duration_s, sampling))
    return num_clips, len(sampling.offsets_s), sampling.size_px, sampling.size_px, 3


def _build_header(shape: tuple[int, ...]) -> bytes:
    """Return the start of an npy file of bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


@dataclass(frozen=True, slots=True)
class _DecodeWork:
    """Task of a worker process: decodes a file; `videos` are the videos to decode, and the targets of their clips."""

    videos: Mapping[Path, tuple[Video, Path]]
    sampling: ClipSampling
    num_threads: int  # of the decoder; more than one if there are fewer videos than workers

    def __call__(self, path: Path, report: Report) -> None:
        video, target = self.videos[path]
        shape = _compute_shape(video.duration_s, self.sampling)

        def write(file: BinaryIO) -> None:
            file.write(_build_header(shape))
            num_done = 0
            for clips in iter_clips(path, self.sampling, duration_s=video.duration_s, num_threads=self.num_threads):
                file.write(np.ascontiguousarray(clips).data)
                num_done += len(clips)
                report(num_done / shape[0])

        write_file(target, write, num_bytes=len(_build_header(shape)) + math.prod(shape))

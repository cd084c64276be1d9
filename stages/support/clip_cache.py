"""Decoded clips on disk, one file per video, so that epochs and runs decode every video once. A cache: it changes no result."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from corpus.files import sha256_json, write_file
from corpus.media import ClipSampling, compute_clip_times, decoder_version, hash_code, iter_clips
from corpus.records import Video
from stages.support.machine import map_in_processes


class _Job(NamedTuple):
    video: Path
    duration_s: float
    sampling: ClipSampling
    target: Path


class ClipCache:
    """The clips of videos as `<folder>/<sampling and decoder>/<sha256 of the video>.npy`, each (S, K, H, W, 3) uint8."""

    def __init__(self, folder: Path, *, videos: Sequence[Video], media_dir: Path, sampling: ClipSampling) -> None:
        """Name the videos and how their clips are sampled; nothing is decoded yet."""
        self.folder = folder / sha256_json([sampling.model_dump(mode="json"), decoder_version(), hash_code()])[:16]
        self._videos = {video.video_id: video for video in videos}
        self._media_dir, self._sampling = media_dir, sampling

    def fill(self) -> None:
        """Decode the videos that are missing, in worker processes; what is finished stays when this is interrupted."""
        videos = {self._find_path(video): video for video in self._videos.values()}
        jobs = [
            _Job(self._media_dir / video.path, video.duration_s, self._sampling, path)
            for path, video in videos.items()
            if not path.is_file()
        ]
        if jobs:
            finished = map_in_processes(_decode, jobs, what="decode videos")
            for _ in tqdm(finished, total=len(jobs), desc="decode", unit="video"):
                pass

    def count_clips(self, video_id: str) -> int:
        """Return the number of clips of a video."""
        return len(compute_clip_times(self._videos[video_id].duration_s, self._sampling))

    def load(self, video_id: str, clips: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Read some clips of a video: (n, K, H, W, 3)."""
        stored = np.load(self._find_path(self._videos[video_id]), mmap_mode="r")
        return np.asarray(stored[clips])

    def remove_others(self) -> None:
        """Delete the clips of all other videos, samplings and decoders."""
        _remove_all_but(self.folder.parent, {self.folder})
        _remove_all_but(self.folder, {self._find_path(video) for video in self._videos.values()})

    def _find_path(self, video: Video) -> Path:
        return self.folder / f"{video.sha256}.npy"


def _decode(job: _Job) -> None:
    batches = iter_clips(job.video, job.sampling, duration_s=job.duration_s)
    shape = (len(compute_clip_times(job.duration_s, job.sampling)), len(job.sampling.offsets_s))
    header = {"descr": "|u1", "fortran_order": False, "shape": (*shape, job.sampling.size_px, job.sampling.size_px, 3)}

    def write(file: object) -> None:
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]
        for clips in batches:
            file.write(np.ascontiguousarray(clips).data)  # type: ignore[attr-defined]

    write_file(job.target, write)


def _remove_all_but(folder: Path, kept: Iterable[Path]) -> None:
    for path in set(folder.iterdir() if folder.is_dir() else ()) - set(kept):
        shutil.rmtree(path) if path.is_dir() else path.unlink()

"""The indexed collection: clip vectors, the localizer's cells and the list of videos, tied to the bundle that made them.

A folder with the files of the clip index, `cells.safetensors` (one float16 tensor (N, P, D) per video), `videos.json` and
`index.json`, which names the bundle and every file's hash. Letters: N cells, P places, D width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from corpus.files import read_json, sha256_file, write_bytes, write_json
from corpus.store import Fingerprint, Half, require_same_fingerprint
from serving.bundle import Manifest
from serving.clip_index import ClipIndex

FORMAT_VERSION = 1
INDEX, VIDEOS, CELLS = "index.json", "videos.json", "cells.safetensors"


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """A video of the collection; `path` is relative to the media root."""

    video_id: str
    path: str
    duration_s: float
    split: str


@dataclass(frozen=True)
class Collection:
    """A collection that was verified against its bundle."""

    folder: Path
    corpus: str  # the name of the corpus, a folder of data/raw/
    clips: ClipIndex
    videos: Mapping[str, IndexedVideo]

    def find_video(self, video_id: str) -> IndexedVideo:
        """Return a video of the collection.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        if video_id not in self.videos:
            raise KeyError(f"there is no video {video_id!r} in the collection of {len(self.videos)} videos")
        return self.videos[video_id]

    def load_cells(self, video_ids: Sequence[str]) -> Half:
        """Return the localizer's cells of videos, (B, N, P, D)."""
        cells: Half = np.stack([self._cells.get_tensor(video_id) for video_id in video_ids])
        return cells

    def get_durations(self, video_ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the lengths of videos in seconds, (B,)."""
        return np.array([self.find_video(video_id).duration_s for video_id in video_ids], dtype=np.float32)

    @cached_property
    def _cells(self) -> Any:
        return safe_open(self.folder / CELLS, framework="numpy")  # mapped, and open as long as the collection


def save_collection(
    folder: Path, *, manifest: Manifest, corpus: str, clips: ClipIndex, cells: Mapping[str, Half], videos: Sequence[IndexedVideo]
) -> None:
    """Write a collection; `index.json` comes last, and with it the folder is complete."""
    clips.save(folder)
    write_bytes(folder / CELLS, save({video_id: np.ascontiguousarray(cells[video_id]) for video_id in sorted(cells)}))
    write_json(folder / VIDEOS, [asdict(video) for video in videos])
    files = sorted(path.name for path in folder.iterdir() if path.name != INDEX)
    index = {
        "format_version": FORMAT_VERSION,
        "bundle_version": manifest.version,
        "fingerprint": clips.fingerprint.to_json(),
        "corpus": corpus,
        "num_videos": len(videos),
        "num_clips": clips.num_clips,
        "sha256": {name: sha256_file(folder / name) for name in files},
    }
    write_json(folder / INDEX, index)


def load_collection(folder: Path, manifest: Manifest) -> Collection:
    """Read a collection and verify that this bundle made it and that every byte is the one that was written.

    Raises:
        FileNotFoundError: when there is no finished index.
        FingerprintMismatchError: when the index was made from other features.
        ValueError: when it was made by another bundle or format, or naming a damaged file.
    """
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: no finished index; run: make repro")
    index = read_json(path)
    _require_made_by(path, index, manifest)
    for name, expected in index["sha256"].items():
        found = sha256_file(folder / name)
        if found != expected:
            raise ValueError(f"{folder / name} is damaged: sha256 {found}, expected {expected}; run: dvc repro --force index")
    videos = [IndexedVideo(**row) for row in read_json(folder / VIDEOS)]
    return Collection(folder, index["corpus"], ClipIndex.load(folder), {video.video_id: video for video in videos})


def _require_made_by(path: Path, index: Mapping[str, Any], manifest: Manifest) -> None:
    if index["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format_version {index['format_version']!r}, this code reads {FORMAT_VERSION}; run: dvc repro index"
        )
    fingerprint = Fingerprint.from_json(index["fingerprint"])
    require_same_fingerprint(expected=manifest.fingerprint, found=fingerprint, what=f"the index {path.parent}")
    if index["bundle_version"] != manifest.version:
        raise ValueError(
            f"{path} was made by the bundle {index['bundle_version']}, but the bundle is {manifest.version}; run: dvc repro index"
        )

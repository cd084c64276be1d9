"""The indexed collection: clip vectors, the localizer's cells and the list of videos, tied to the bundle that made them.

`index.json` names the bundle, every file's hash and the folder of the files: those of the clip index, `cells.npy` (one
float16 array (N, P, D) per window, the videos one after the other) and `videos.json`. That folder is named by its content and
never changes, so a collection that is being searched stays whole while another takes its place.
Letters: W windows of a video, N cells, P places, D width.
"""

import itertools
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from corpus.files import read_json, sha256_file, sha256_json, write_json
from corpus.moments import compute_clip_rate
from corpus.store import Fingerprint, Half, require_same_fingerprint
from corpus.windows import Window, WindowId
from serving.array_files import map_array, write_arrays
from serving.bundle import Manifest
from serving.clip_index import ClipIndex, FaissClipIndex
from serving.indexing import EncodedVideo

FORMAT_VERSION = 3
INDEX, VIDEOS, CELLS = "index.json", "videos.json", "cells.npy"
_FILES, _UNFINISHED = "files-", ".unfinished-"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """A video of the collection; `path` is relative to the media root, `sha256` that of the file."""

    video_id: str
    path: str
    duration_s: float
    split: str  # empty where the videos have none
    sha256: str


class CollectionEntry(NamedTuple):
    """A video and what the index holds of it."""

    video: IndexedVideo
    encoded: EncodedVideo


@dataclass(frozen=True)
class Collection:
    """A collection that was verified against its bundle."""

    corpus: str  # the name of the corpus, a folder of data/raw/, or of the folder that was indexed
    media_dir: Path | None  # the folder that was indexed, None for a corpus
    clips: ClipIndex
    videos: Mapping[str, IndexedVideo]
    cells: Mapping[str, Half]  # (W, N, P, D) each; mapped files stay readable when a newer collection has replaced them
    windows: Mapping[str, tuple[Window, ...]]

    def find_video(self, video_id: str) -> IndexedVideo:
        """Return a video of the collection.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        if video_id not in self.videos:
            raise KeyError(f"there is no video {video_id!r} in the collection of {len(self.videos)} videos")
        return self.videos[video_id]

    def get_encoded(self, video_id: str) -> EncodedVideo:
        """Return what the index holds of a video.

        Raises:
            KeyError: as `find_video`.
        """
        video = self.find_video(video_id)
        return EncodedVideo(video.duration_s, self.clips.get_vectors(video_id), self.cells[video_id])

    def get_window(self, window: WindowId) -> tuple[Half, Window]:
        """Return the localizer's cells of a window, (N, P, D), and where it lies."""
        return self.cells[window.video_id][window.number], self.windows[window.video_id][window.number]

    def add(self, video: IndexedVideo, encoded: EncodedVideo, manifest: Manifest) -> "Collection":
        """Return this collection with one more video.

        Raises:
            ValueError: when its id is taken, or the bundle of `manifest` did not encode it.
        """
        windows = manifest.cut(len(encoded.vectors), encoded.duration_s)
        expected = (len(windows), manifest.num_cells, manifest.dims.num_places, manifest.dims.feature_dim)
        if encoded.cells.shape != expected:
            raise ValueError(f"video {video.video_id!r}: cells must be {expected}, got {encoded.cells.shape}; encode it anew")
        rate_hz = _find_clip_rate(manifest, encoded)
        return replace(
            self,
            clips=self.clips.add(video.video_id, encoded.vectors, clip_rate_hz=rate_hz, windows=windows),
            videos={**self.videos, video.video_id: video},
            cells={**self.cells, video.video_id: encoded.cells},
            windows={**self.windows, video.video_id: windows},
        )

    def remove(self, video_id: str) -> "Collection":
        """Return this collection without a video.

        Raises:
            KeyError: as `find_video`.
        """
        self.find_video(video_id)
        return replace(
            self,
            clips=self.clips.remove(video_id),
            videos=_leave_out(self.videos, video_id),
            cells=_leave_out(self.cells, video_id),
            windows=_leave_out(self.windows, video_id),
        )


def _leave_out(values: Mapping[str, T], key: str) -> dict[str, T]:
    return {name: value for name, value in values.items() if name != key}


def save_collection(
    folder: Path,
    entries: Sequence[CollectionEntry],
    *,
    manifest: Manifest,
    fingerprint: Fingerprint,
    corpus: str,
    media_dir: Path | None = None,
) -> int:
    """Write a collection and return its number of clips; with `index.json`, which comes last, it takes the former's place.

    Raises:
        ValueError: as `FaissClipIndex.build`.
    """
    vectors = {entry.video.video_id: entry.encoded.vectors for entry in entries}
    windows = {entry.video.video_id: manifest.cut(len(entry.encoded.vectors), entry.video.duration_s) for entry in entries}
    rates_hz = _find_clip_rates(manifest, entries)
    clips = FaissClipIndex.build(vectors, clip_rate_hz=rates_hz, fingerprint=fingerprint, windows=windows)
    files_dir, hashes = _write_files(folder, entries, clips)
    index = {
        "format_version": FORMAT_VERSION,
        "bundle_version": manifest.version,
        "fingerprint": fingerprint.to_json(),
        "corpus": corpus,
        "media_dir": str(media_dir) if media_dir else None,
        "num_videos": len(entries),
        "num_clips": clips.num_clips,
        "folder": files_dir.name,
        "sha256": hashes,
    }
    write_json(folder / INDEX, index)
    _remove_others(folder, files_dir)
    return clips.num_clips


def _find_clip_rates(manifest: Manifest, entries: Sequence[CollectionEntry]) -> float | dict[str, float]:
    """Return the clip rate of the bundle's sampling; without one, clips span each video evenly."""
    if manifest.sampling:
        return manifest.sampling.clip_rate_hz
    return {entry.video.video_id: _find_clip_rate(manifest, entry.encoded) for entry in entries}


def _find_clip_rate(manifest: Manifest, encoded: EncodedVideo) -> float:
    stated_hz = manifest.sampling.clip_rate_hz if manifest.sampling else None
    return compute_clip_rate(stated_hz, num_clips=len(encoded.vectors), duration_s=encoded.duration_s)


def _write_files(folder: Path, entries: Sequence[CollectionEntry], clips: FaissClipIndex) -> tuple[Path, dict[str, str]]:
    """Write the files into a folder that is named by their hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
    try:
        clips.save(unfinished)
        write_arrays(unfinished / CELLS, [entry.encoded.cells for entry in entries])
        write_json(unfinished / VIDEOS, [asdict(entry.video) for entry in entries])
        hashes = _hash_files(unfinished)
        files_dir = folder / f"{_FILES}{sha256_json(hashes)[:16]}"
        if not files_dir.is_dir() or _hash_files(files_dir) != hashes:
            shutil.rmtree(files_dir, ignore_errors=True)
            os.chmod(unfinished, 0o755)
            unfinished.rename(files_dir)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return files_dir, hashes


def _hash_files(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted(folder.iterdir())}


def _remove_others(folder: Path, files_dir: Path) -> None:
    for path in folder.iterdir():
        if path.name.startswith((_FILES, _UNFINISHED)) and path != files_dir:
            shutil.rmtree(path)


def read_index(folder: Path) -> dict[str, Any]:
    """Read what a collection says of itself.

    Raises:
        FileNotFoundError: when there is no finished index.
        ValueError: when it has another format.
    """
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: no finished index; run: make repro, or for videos of your own: make index VIDEOS=FOLDER"
        )
    index = read_json(path)
    found = index.get("format_version") if isinstance(index, dict) else None
    if found != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format_version {found!r}, this code reads {FORMAT_VERSION}; "
            "run: dvc repro --force index, or for videos of your own: make index VIDEOS=FOLDER"
        )
    assert isinstance(index, dict)
    return index


def load_collection(folder: Path, manifest: Manifest) -> Collection:
    """Read a collection and verify that this bundle made it and that every byte is the one that was written.

    Raises:
        FileNotFoundError: when there is no finished index, or naming a file that is missing.
        FingerprintMismatchError: when the index was made from other features.
        ValueError: when it was made by another bundle or format, or naming a damaged file.
    """
    while True:
        index = read_index(folder)
        try:
            return _load_files(folder, index, manifest)
        except FileNotFoundError:
            if read_index(folder)["folder"] == index["folder"]:
                raise
            # another collection took its place meanwhile


def _load_files(folder: Path, index: Mapping[str, Any], manifest: Manifest) -> Collection:
    remedy = name_remedy(folder, index)
    _require_made_by(folder / INDEX, index, manifest, remedy)
    files_dir = folder / index["folder"]
    for name, expected in index["sha256"].items():
        _verify_file(files_dir / name, expected, remedy)
    videos = {row["video_id"]: IndexedVideo(**row) for row in read_json(files_dir / VIDEOS)}
    clips = FaissClipIndex.load(files_dir)
    windows = {name: manifest.cut(clips.count_clips(name), video.duration_s) for name, video in videos.items()}
    return Collection(
        corpus=index["corpus"],
        media_dir=Path(index["media_dir"]) if index["media_dir"] else None,
        clips=clips,
        videos=videos,
        cells=_split_cells(map_array(files_dir / CELLS), windows),
        windows=windows,
    )


def _split_cells(cells: Half, windows: Mapping[str, tuple[Window, ...]]) -> dict[str, Half]:
    """Return the part of a mapped array that belongs to each video, in the order of the videos."""
    ends = itertools.accumulate(map(len, windows.values()))
    return {name: cells[end - len(parts) : end] for (name, parts), end in zip(windows.items(), ends, strict=True)}


def name_remedy(folder: Path, index: Mapping[str, Any]) -> str:
    """Return the command that makes a collection anew."""
    if index["media_dir"] is None:
        return "dvc repro --force index"
    return shlex.join(["python", "-m", "serving", "index", index["media_dir"], "--output", str(folder)])


def _verify_file(path: Path, expected: str, remedy: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing from the index; run: {remedy}")
    found = sha256_file(path)
    if found != expected:
        raise ValueError(f"{path} is damaged: sha256 {found}, expected {expected}; run: {remedy}")


def _require_made_by(path: Path, index: Mapping[str, Any], manifest: Manifest, remedy: str) -> None:
    if index["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format_version {index['format_version']!r}, this code reads {FORMAT_VERSION}; run: {remedy}"
        )
    fingerprint = Fingerprint.from_json(index["fingerprint"])
    require_same_fingerprint(expected=manifest.fingerprint, found=fingerprint, what=f"the index {path.parent}")
    if index["bundle_version"] != manifest.version:
        raise ValueError(
            f"{path} was made by the bundle {index['bundle_version']}, but the bundle is {manifest.version}; run: {remedy}"
        )

"""The indexed collection: clip vectors, the localizer's cells and the list of videos, tied to the bundle that made them.

`index.json` names the bundle, the folder of the files and every file's hash. The files are those of the clip index, the
cells of each stream (`search.cell_files`) and `videos.json`. Their folder is named by its content and never changes, so a
running search keeps a whole collection while a new one replaces it.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from corpus.files import read_json, require_format_version, sha256_file, write_json
from corpus.store import Fingerprint, Half, require_same_fingerprint
from corpus.windows import Window, WindowId
from search.bundle import Manifest
from search.cell_files import load_cells, save_cells
from search.clip_index import ClipIndex, FaissClipIndex, Vectors
from search.content_folder import remove_other_folders, write_content_folder
from search.contracts import Entry
from search.indexed_video import IndexedVideo
from search.indexing.video_indexer import EncodedVideo
from search.model_name import ModelName, NamedModels
from search.windowed_cells import WindowedCells

FORMAT_VERSION = 5  # 4 had the cells of one stream without a name
INDEX, VIDEOS, BANK = "index.json", "videos.json", "bank.npy"
_BUNDLE = Path("data/bundle")  # the default of the commands

T = TypeVar("T")
C = TypeVar("C")


@dataclass(frozen=True)
class Collection:
    """A collection that was verified against its bundle."""

    corpus: str  # name of the corpus (a folder of data/raw/), or of the indexed folder
    media_dir: Path | None  # the indexed folder; None for a corpus
    clips: ClipIndex
    videos: Mapping[str, IndexedVideo]
    cells: Mapping[str, WindowedCells]  # mapped files stay readable after a newer collection replaces them
    bank: Vectors | None = None  # (B, E) of the bank's sentences (`search.null_sentences`); None: indexed without it

    def find_video(self, video_id: str) -> IndexedVideo:
        """Return a video of the collection.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        if video_id not in self.videos:
            raise KeyError(f"there is no video {video_id!r} in the collection of {len(self.videos)} videos")
        return self.videos[video_id]

    def get_encoded(self, video_id: str) -> EncodedVideo:
        """Return the encoding of a video.

        Raises:
            KeyError: as `find_video`.
        """
        video = self.find_video(video_id)
        return EncodedVideo(video.duration_s, self.clips.get_vectors(video_id), self.cells[video_id].streams)

    def list_windows(self, video_id: str) -> list[WindowId]:
        """Return the windows of a video of the collection, in order."""
        return [WindowId(video_id, number) for number in range(len(self.cells[video_id].windows))]

    def get_window(self, window: WindowId) -> tuple[dict[str, Half], Window]:
        """Return the localizer's cells of a window, (N, P, D) of each stream, and its place in the video."""
        return self.cells[window.video_id].get(window.number)

    def add(self, video: IndexedVideo, encoded: EncodedVideo, manifest: Manifest) -> "Collection":
        """Return this collection with one more video.

        Raises:
            ValueError: when its id is taken, or the bundle of `manifest` did not encode it.
        """
        try:
            cells = encoded.cut(manifest)
        except ValueError as error:
            raise ValueError(f"video {video.video_id!r}: {error}") from error
        rate_hz = manifest.find_clip_rate(len(encoded.vectors), encoded.duration_s)
        windows = _match_grid(cells, encoded, manifest)
        return replace(
            self,
            clips=self.clips.add(video.video_id, encoded.vectors, clip_rate_hz=rate_hz, windows=windows),
            videos={**self.videos, video.video_id: video},
            cells={**self.cells, video.video_id: cells},
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
        )


def _leave_out(values: Mapping[str, T], key: str) -> dict[str, T]:
    return {name: value for name, value in values.items() if name != key}


class CollectionSize(NamedTuple):
    """What `index.json` counts."""

    num_videos: int
    num_clips: int


def save_collection(
    folder: Path,
    entries: Sequence[Entry],
    *,
    manifest: Manifest,
    fingerprint: Fingerprint,
    corpus: str,
    media_dir: Path | None = None,
    bank: Vectors | None = None,
) -> int:
    """Write a collection and return its number of clips. `index.json` is written last and replaces the former collection.

    `bank` (B, E) are the vectors of the bank's sentences; searches of an index without them embed the bank when they need it.

    Raises:
        ValueError: as `FaissClipIndex.build`.
    """
    encoded = {entry.video.video_id: entry.encoded for entry in entries}
    vectors = {video_id: one.vectors for video_id, one in encoded.items()}
    windows = {video_id: _match_grid(one.cut(manifest), one, manifest) for video_id, one in encoded.items()}
    rates_hz = _find_clip_rates(manifest, encoded)
    clips = FaissClipIndex.build(vectors, clip_rate_hz=rates_hz, fingerprint=fingerprint, windows=windows)

    def write(files_dir: Path) -> None:
        clips.save(files_dir)
        save_cells(files_dir, [entry.encoded.cells for entry in entries], manifest.localizer_streams)
        write_json(files_dir / VIDEOS, [asdict(entry.video) for entry in entries])
        if bank is not None:
            np.save(files_dir / BANK, bank, allow_pickle=False)

    size = CollectionSize(len(entries), clips.num_clips)
    publish_folder(folder, write, models=manifest, fingerprint=fingerprint, corpus=corpus, media_dir=media_dir, size=size)
    return clips.num_clips


def publish_folder(  # noqa: PLR0913 # the parts of index.json
    folder: Path,
    write: Callable[[Path], None],
    *,
    models: NamedModels,
    fingerprint: Fingerprint,
    corpus: str,
    media_dir: Path | None,
    size: CollectionSize,
) -> None:
    """Let `write` fill the folder of a collection's files, and write the index that names it and the models."""
    files_dir, hashes = write_content_folder(folder, write)
    index = {
        "corpus": corpus,
        "media_dir": str(media_dir) if media_dir else None,
        **size._asdict(),
        "format_version": FORMAT_VERSION,
        "bundle_version": models.version,
        "models": {name: model.model_dump() for name, model in models.models.items()},
        "fingerprint": fingerprint.to_json(),
        "folder": files_dir.name,
        "sha256": hashes,
    }
    write_json(folder / INDEX, index)
    remove_other_folders(folder, files_dir)


def _match_grid(cells: WindowedCells, encoded: EncodedVideo, manifest: Manifest) -> tuple[Window, ...]:
    """Return the windows of a video in clips of the grid."""
    num_clips, duration_s = len(encoded.vectors), encoded.duration_s
    return manifest.match_windows(cells.windows, manifest.grid, num_clips=num_clips, duration_s=duration_s)


def _find_clip_rates(manifest: Manifest, encoded: Mapping[str, EncodedVideo]) -> float | dict[str, float]:
    """Return the clip rate of the grid, or one per video if clips span each video evenly."""
    stated_hz = manifest.streams[manifest.grid].clip_rate_hz
    if stated_hz is not None:
        return stated_hz
    return {video_id: manifest.find_clip_rate(len(one.vectors), one.duration_s) for video_id, one in encoded.items()}


def read_index(folder: Path) -> dict[str, Any]:
    """Read the `index.json` of a collection.

    Raises:
        FileNotFoundError: when there is no finished index.
        ValueError: when it has another format.
    """
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: no finished index; run: make repro, or for videos of your own: cuepoint index FOLDER"
        )
    index = read_json(path)
    found = index.get("format_version") if isinstance(index, dict) else None
    if found != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format_version {found!r}, this code reads {FORMAT_VERSION}; run: {_name_old_remedy(folder, index)}"
        )
    assert isinstance(index, dict)
    return index


def _name_old_remedy(folder: Path, index: object) -> str:
    if isinstance(index, dict) and isinstance(index.get("media_dir"), str):
        return name_remedy(folder, index)
    return "cuepoint repro --force index, or for videos of your own: cuepoint index FOLDER"


def load_collection(folder: Path, manifest: Manifest, *, bundle_dir: Path | None = None) -> Collection:
    """Read a collection, and verify that this bundle made it and that no file is damaged.

    Errors name `bundle_dir`, the folder of the bundle, in the command that rebuilds the collection.

    Raises:
        FileNotFoundError: when there is no finished index, or naming a file that is missing.
        FingerprintMismatchError: when the index was made from other features.
        ValueError: when it was made by another bundle or format, or naming a damaged file.
    """
    return read_verified(folder, manifest, manifest.fingerprint, partial(_load_files, manifest), bundle_dir=bundle_dir)


def read_verified(
    folder: Path,
    models: NamedModels,
    fingerprint: Fingerprint,
    load: Callable[[Path, Mapping[str, Any]], C],
    *,
    bundle_dir: Path | None = None,
) -> C:
    """Verify that a bundle made a collection and that its files are undamaged, then `load` them.

    Raises:
        FileNotFoundError: when there is no finished index, or naming a file that is missing.
        FingerprintMismatchError: when the index was made from other features.
        ValueError: when it was made by another bundle or format, or naming a damaged file.
    """
    while True:
        index = read_index(folder)
        remedy = name_remedy(folder, index, bundle_dir)
        try:
            _require_made_by(folder / INDEX, index, models, fingerprint, remedy)
            for name, expected in index["sha256"].items():
                _verify_file(folder / index["folder"] / name, expected, remedy)
            return load(folder / index["folder"], index)
        except FileNotFoundError:
            if read_index(folder)["folder"] == index["folder"]:
                raise
            # a new collection replaced it during the read, so read again


def _load_files(manifest: Manifest, files_dir: Path, index: Mapping[str, Any]) -> Collection:
    videos = {row["video_id"]: IndexedVideo(**row) for row in read_json(files_dir / VIDEOS)}
    clips = FaissClipIndex.load(files_dir)
    cells = {
        name: WindowedCells.build(streams, manifest, duration_s=videos[name].duration_s)
        for name, streams in zip(videos, load_cells(files_dir), strict=True)
    }
    media_dir = Path(index["media_dir"]) if index["media_dir"] else None
    bank = np.load(files_dir / BANK, allow_pickle=False) if BANK in index["sha256"] else None
    return Collection(corpus=index["corpus"], media_dir=media_dir, clips=clips, videos=videos, cells=cells, bank=bank)


def name_remedy(folder: Path, index: Mapping[str, Any], bundle_dir: Path | None = None) -> str:
    """Return the command that rebuilds a collection, with the bundle at `bundle_dir` (None: the checkout's)."""
    if index["media_dir"] is None:
        return "cuepoint repro --force index"
    bundle = ["--bundle", str(bundle_dir)] if bundle_dir and bundle_dir != _BUNDLE else []
    return shlex.join(["cuepoint", "index", index["media_dir"], "--output", str(folder), *bundle])


def _verify_file(path: Path, expected: str, remedy: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing from the index; run: {remedy}")
    found = sha256_file(path)
    if found != expected:
        raise ValueError(f"{path} is damaged: sha256 {found}, expected {expected}; run: {remedy}")


def _require_made_by(path: Path, index: Mapping[str, Any], models: NamedModels, expected: Fingerprint, remedy: str) -> None:
    require_format_version(path, index["format_version"], expected=FORMAT_VERSION, remedy=remedy)
    named = {name: ModelName.model_validate(model) for name, model in index.get("models", {}).items()}
    if "models" in index and named != models.models:
        raise ValueError(f"{path} was made by {_spell(named)}, but the bundle has {_spell(models.models)}; run: {remedy}")
    found = Fingerprint.from_json(index["fingerprint"])
    require_same_fingerprint(expected=expected, found=found, what=f"the index {path.parent}", remedy=remedy)
    if index["bundle_version"] != models.version:
        raise ValueError(
            f"{path} was made by the bundle {index['bundle_version']}, but the bundle is {models.version}; run: {remedy}"
        )


def _spell(models: Mapping[str, ModelName]) -> str:
    return ", ".join(sorted({str(model) for model in models.values()})) or "no published model"

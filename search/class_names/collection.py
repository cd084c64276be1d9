"""Indexed collection of a zero-shot bundle: the classified videos in a few large arrays, tied to the bundle that made them.

`index.json` has the form of every index (`search.collection`). Beside it lie `videos.json` and one array of all videos for each
of `ARRAYS`. Letters: V videos, K classes.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.files import read_json, write_json
from corpus.media import decoder_version
from corpus.store import Fingerprint
from corpus.windows import WindowId
from search.array_files import map_array, write_arrays
from search.class_names.bundle import ClassBundle
from search.class_names.video import ARRAYS, ClassifiedVideo
from search.collection import VIDEOS, CollectionSize, publish_folder, read_verified
from search.contracts import Entry
from search.indexed_video import IndexedVideo


@dataclass(frozen=True)
class ClassCollection:
    """A collection that was verified against its bundle. It is immutable; changes return a new one."""

    corpus: str
    media_dir: Path | None
    videos: Mapping[str, IndexedVideo]
    classified: Mapping[str, ClassifiedVideo]  # the same ids in the same order

    @cached_property
    def pooled(self) -> NDArray[np.float32]:
        """How well each class fits each video, (V, K); the collection holds at least one video."""
        return np.concatenate([video.pooled for video in self.classified.values()])

    def find_video(self, video_id: str) -> IndexedVideo:
        """Return a video of the collection.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        if video_id not in self.videos:
            raise KeyError(f"there is no video {video_id!r} in the collection of {len(self.videos)} videos")
        return self.videos[video_id]

    def list_windows(self, video_id: str) -> list[WindowId]:
        """Return the only window of a video, the whole of it."""
        return [WindowId(self.find_video(video_id).video_id, 0)]

    def add(self, video: IndexedVideo, classified: ClassifiedVideo) -> "ClassCollection":
        """Return this collection with one more video.

        Raises:
            ValueError: when its id is taken, or another classifier made it.
        """
        if video.video_id in self.videos:
            raise ValueError(f"the video {video.video_id!r} is in the collection already")
        if self.classified and classified.pooled.shape[1] != self.pooled.shape[1]:
            raise ValueError(
                f"video {video.video_id!r} has {classified.pooled.shape[1]} classes, the collection {self.pooled.shape[1]}; "
                "encode the video again"
            )
        return replace(
            self,
            videos={**self.videos, video.video_id: video},
            classified={**self.classified, video.video_id: classified},
        )

    def remove(self, video_id: str) -> "ClassCollection":
        """Return this collection without a video.

        Raises:
            KeyError: as `find_video`.
        """
        self.find_video(video_id)
        videos = {name: video for name, video in self.videos.items() if name != video_id}
        return replace(self, videos=videos, classified={name: self.classified[name] for name in videos})


def save_class_collection(
    folder: Path, entries: Sequence[Entry], *, bundle: ClassBundle, corpus: str, media_dir: Path | None = None
) -> int:
    """Write a collection and return its number of frames. `index.json` comes last and replaces the former collection."""
    ordered = sorted(entries, key=lambda entry: entry.video.video_id)

    def write(files_dir: Path) -> None:
        for name in ARRAYS:
            write_arrays(files_dir / f"{name}.npy", [getattr(entry.encoded, name) for entry in ordered])
        counts = ({f"num_{name}": len(getattr(encoded, name)) for name in ARRAYS} for _, encoded in ordered)
        rows = [asdict(entry.video) | {"counts": count} for entry, count in zip(ordered, counts, strict=True)]
        write_json(files_dir / VIDEOS, rows)

    num_frames: int = sum(entry.encoded.num_clips for entry in ordered)
    size, fingerprint = CollectionSize(len(ordered), num_frames), _find_fingerprint(bundle)
    publish_folder(folder, write, models=bundle.manifest, fingerprint=fingerprint, corpus=corpus, media_dir=media_dir, size=size)
    return num_frames


def load_class_collection(folder: Path, bundle: ClassBundle, *, bundle_dir: Path | None = None) -> ClassCollection:
    """Read a collection, and verify that this bundle made it and that its files are undamaged.

    Errors name `bundle_dir`, the folder of the bundle, in the command that rebuilds the collection.

    Raises:
        FileNotFoundError: when there is no finished index, or naming a file that is missing.
        FingerprintMismatchError: when other models made the index.
        ValueError: when it was made by another bundle or format, or naming a damaged file.
    """
    return read_verified(folder, bundle.manifest, _find_fingerprint(bundle), _load_files, bundle_dir=bundle_dir)


def _find_fingerprint(bundle: ClassBundle) -> Fingerprint:
    """Return the environment that makes a classified video here. Another decoder may give other pixels."""
    return Fingerprint(bundle.manifest.identity, {"decoder": decoder_version()})


def _load_files(files_dir: Path, index: Mapping[str, Any]) -> ClassCollection:
    rows = read_json(files_dir / VIDEOS)
    arrays = {
        name: _split(map_array(files_dir / f"{name}.npy"), [row["counts"][f"num_{name}"] for row in rows]) for name in ARRAYS
    }
    videos: dict[str, IndexedVideo] = {}
    classified: dict[str, ClassifiedVideo] = {}
    for row in rows:
        video = IndexedVideo(**{key: value for key, value in row.items() if key != "counts"})
        videos[video.video_id] = video
        found: dict[str, Any] = {name: next(parts) for name, parts in arrays.items()}
        classified[video.video_id] = ClassifiedVideo(video.duration_s, **found)
    media_dir = Path(index["media_dir"]) if index["media_dir"] else None
    return ClassCollection(index["corpus"], media_dir, videos, classified)


def _split(array: NDArray[Any], counts: Sequence[int]) -> Iterator[NDArray[Any]]:
    return (array[end - count : end] for count, end in zip(counts, itertools.accumulate(counts), strict=True))

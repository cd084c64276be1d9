"""Locations of a service's files: from the environment, or beside the code in a checkout or a bento."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search.contracts import VideoCollection
from search.indexing.folder_thumbnails import THUMBNAILS
from search.milvus.address import MilvusAddress

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Locations:
    """Folders of a service. `media_dir` is the root of the videos, `None` if the collection names it."""

    bundle_dir: Path
    index_dir: Path
    thumbnails_dir: Path
    media_dir: Path | None
    state_dir: Path  # uploads, deletions and feedback
    examples_path: Path  # sentences to try
    num_threads: int  # of each network
    milvus: MilvusAddress | None = None  # searches the clip vectors; None: this process does

    def find_media_dir(self, collection: VideoCollection) -> Path:
        """Return the folder to which the paths of the collection's videos are relative."""
        return self.media_dir or collection.media_dir or ROOT / "data" / "raw" / collection.corpus


def find_locations() -> Locations:
    """Read `CUEPOINT_BUNDLE`, `_INDEX`, `_THUMBNAILS`, `_MEDIA_ROOT`, `_STATE`, `_THREADS` and `_MILVUS_*` of the environment.

    Raises:
        ValueError: when the number of threads is not a positive number, or the address of Milvus is incomplete.
    """
    media = os.environ.get("CUEPOINT_MEDIA_ROOT")
    threads = os.environ.get("CUEPOINT_THREADS") or str(min(2, os.cpu_count() or 1))
    if not threads.isdecimal() or int(threads) == 0:
        raise ValueError(f"CUEPOINT_THREADS = {threads!r}: it must be a number of threads, at least 1")
    index_dir = Path(os.environ.get("CUEPOINT_INDEX") or ROOT / "data" / "index")
    return Locations(
        bundle_dir=Path(os.environ.get("CUEPOINT_BUNDLE") or ROOT / "data" / "bundle"),
        index_dir=index_dir,
        thumbnails_dir=_find_thumbnails(index_dir),
        media_dir=Path(media) if media else None,
        state_dir=Path(os.environ.get("CUEPOINT_STATE") or ROOT / "data" / "service").absolute(),
        examples_path=ROOT / "data" / "examples.json",
        num_threads=int(threads),
        milvus=find_milvus(),
    )


def _find_thumbnails(index_dir: Path) -> Path:
    """Return the named folder of thumbnails, that of the index of a folder, or that of the bento."""
    if named := os.environ.get("CUEPOINT_THUMBNAILS"):
        return Path(named)
    own = index_dir / THUMBNAILS
    return own if own.is_dir() else ROOT / "data" / THUMBNAILS


def find_milvus(environment: Mapping[str, str] = os.environ) -> MilvusAddress | None:
    """Read `CUEPOINT_MILVUS_URI`, `_TOKEN` and `_COLLECTION`; without the URI, this process holds the clip index.

    Raises:
        ValueError: when a token or collection is given without the URI.
    """
    uri = environment.get("CUEPOINT_MILVUS_URI", "")
    token = environment.get("CUEPOINT_MILVUS_TOKEN", "")
    collection = environment.get("CUEPOINT_MILVUS_COLLECTION", "")
    if not uri and (token or collection):
        raise ValueError("CUEPOINT_MILVUS_TOKEN or _COLLECTION is set without CUEPOINT_MILVUS_URI; set it, or none of them")
    return MilvusAddress(uri, token, collection) if uri else None

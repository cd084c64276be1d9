"""Where a service finds its files: named by the environment, or beside the code, in the checkout as in a bento."""

import os
from dataclasses import dataclass
from pathlib import Path

from serving.collection import Collection
from serving.milvus.place import MilvusPlace, find_milvus

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of a service. `media_dir` is the root of the videos, `None` where the collection is to name it."""

    bundle_dir: Path
    index_dir: Path
    thumbnails_dir: Path
    media_dir: Path | None
    state_dir: Path  # uploads, deletions and feedback
    examples_path: Path  # sentences to try
    num_threads: int  # of each network
    milvus: MilvusPlace | None = None  # where clip vectors are searched; None: in this process

    def find_media_dir(self, collection: Collection) -> Path:
        """Return the folder that the paths of the collection's videos are relative to."""
        return self.media_dir or collection.media_dir or ROOT / "data" / "raw" / collection.corpus


def find_places() -> Places:
    """Read `CUEPOINT_BUNDLE`, `_INDEX`, `_THUMBNAILS`, `_MEDIA_ROOT`, `_STATE`, `_THREADS` and `_MILVUS_*` of the environment.

    Raises:
        ValueError: when the number of threads is no positive number, or Milvus is named by halves.
    """
    media = os.environ.get("CUEPOINT_MEDIA_ROOT")
    threads = os.environ.get("CUEPOINT_THREADS") or str(min(2, os.cpu_count() or 1))
    if not threads.isdecimal() or int(threads) == 0:
        raise ValueError(f"CUEPOINT_THREADS = {threads!r}: it must be a number of threads, at least 1")
    return Places(
        bundle_dir=Path(os.environ.get("CUEPOINT_BUNDLE") or ROOT / "data" / "bundle"),
        index_dir=Path(os.environ.get("CUEPOINT_INDEX") or ROOT / "data" / "index"),
        thumbnails_dir=Path(os.environ.get("CUEPOINT_THUMBNAILS") or ROOT / "data" / "thumbnails"),
        media_dir=Path(media) if media else None,
        state_dir=Path(os.environ.get("CUEPOINT_STATE") or ROOT / "data" / "service").absolute(),
        examples_path=ROOT / "data" / "examples.json",
        num_threads=int(threads),
        milvus=find_milvus(),
    )

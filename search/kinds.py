"""The kinds of search. Each kind has its classes for the bundle, the indexing and the answers; a manifest names its kind.

Each kind is a line of `KINDS`. Trained bundles have the kind `two_stage`, which their manifests leave out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.files import read_json
from corpus.media import decoder_version
from search.bundle import load_bundle
from search.bundle_files import MANIFEST
from search.class_names.bundle import KIND, load_class_bundle
from search.class_names.collection import load_class_collection, save_class_collection
from search.class_names.predictor import ClassPredictor
from search.class_names.video import ARRAYS, ClassCache, ClassIndexer
from search.collection import load_collection, name_remedy, read_index, save_collection
from search.contracts import EncodedVideos, Entry, Predictor, SearchBundle, VideoCollection, VideoEncoder
from search.indexing.video_cache import VideoCache
from search.indexing.video_indexer import VideoIndexer
from search.milvus.address import MilvusAddress
from search.networks import Networks, embed_bank
from search.predictor import MomentPredictor

TWO_STAGE = "two_stage"


@dataclass(frozen=True)
class SearchKind:
    """The functions that read bundles of one kind, encode videos and answer. Each takes only bundles of this kind."""

    load_bundle: Callable[[Path], Any]
    open_encoder: Callable[[Any, int], VideoEncoder]  # bundle, threads
    open_cache: Callable[[Path, Any], EncodedVideos]
    save: Callable[[Path, Sequence[Entry], Any, Path], int]  # folder, entries, bundle, folder of the videos -> clips
    load: Callable[[Path, Any], VideoCollection]  # folder, bundle
    holds: Callable[[Any, Entry], bool]  # whether a collection holds the encoding of a listed video
    load_predictor: Callable[[Path, Path, int, MilvusAddress | None], Predictor]  # bundle, index, threads


def open_bundle(folder: Path) -> SearchBundle:
    """Read a bundle of any kind and verify its files.

    Raises:
        FileNotFoundError: when there is no finished bundle, or naming a file that is missing.
        ValueError: naming a file or value that differs from the manifest.
    """
    bundle: SearchBundle = find_kind(folder).load_bundle(folder)
    return bundle


def open_encoder(bundle: SearchBundle, *, num_threads: int = 1) -> VideoEncoder:
    """Return the encoder of files for the index of a bundle."""
    return find_kind(bundle.folder).open_encoder(bundle, num_threads)


def open_cache(folder: Path, bundle: SearchBundle) -> EncodedVideos:
    """Return the cache, in a folder, of the videos that a bundle encodes."""
    return find_kind(bundle.folder).open_cache(folder, bundle)


def load_predictor(bundle_dir: Path, index_dir: Path, *, num_threads: int = 2, milvus: MilvusAddress | None = None) -> Predictor:
    """Verify and open a bundle of any kind and its index.

    Raises:
        FileNotFoundError: when one of them is missing.
        ValueError: when a file is damaged or they do not belong together.
        ConnectionError: when Milvus does not answer.
    """
    return find_kind(bundle_dir).load_predictor(bundle_dir, index_dir, num_threads, milvus)


def find_kind(folder: Path) -> SearchKind:
    """Return the kind of the bundle in a folder. Without a manifest it is `two_stage`, whose loader reports the missing file.

    Raises:
        ValueError: naming an unknown kind.
    """
    path = folder / MANIFEST
    content = read_json(path) if path.is_file() else {}
    name = content.get("kind", TWO_STAGE) if isinstance(content, dict) else TWO_STAGE
    if name not in KINDS:
        raise ValueError(f"{path} has the kind {name!r}; this code knows {', '.join(sorted(KINDS))}")
    return KINDS[name]


def require_made_by(folder: Path, bundle_dir: Path) -> None:
    """Refuse a collection that another bundle made.

    Raises:
        FileNotFoundError: when one of them is missing.
        ValueError: with the command that rebuilds the collection, or when the bundle is damaged.
    """
    index, bundle = read_index(folder), open_bundle(bundle_dir)
    if index["bundle_version"] != bundle.version:
        remedy = name_remedy(folder, index, bundle_dir)
        raise ValueError(f"{bundle.model} cannot search {folder}: it was made by another bundle; run: {remedy}")


def _save_two_stage(folder: Path, entries: Sequence[Entry], bundle: Any, media_dir: Path) -> int:
    fingerprint = bundle.manifest.fingerprint_in({"decoder": decoder_version()})
    return save_collection(
        folder,
        entries,
        manifest=bundle.manifest,
        fingerprint=fingerprint,
        corpus=media_dir.name,
        media_dir=media_dir,
        bank=embed_bank(bundle, Networks(bundle, num_threads=1)),
    )


def _holds_cells(collection: Any, entry: Entry) -> bool:
    kept = collection.cells[entry.video.video_id].streams
    return all(np.array_equal(kept[name].array, cells.array) for name, cells in entry.encoded.cells.items())


def _load_two_stage_predictor(bundle_dir: Path, index_dir: Path, num_threads: int, milvus: MilvusAddress | None) -> Predictor:
    return MomentPredictor.load(bundle_dir, index_dir, num_threads=num_threads, milvus=milvus)


def _save_classes(folder: Path, entries: Sequence[Entry], bundle: Any, media_dir: Path) -> int:
    return save_class_collection(folder, entries, bundle=bundle, corpus=media_dir.name, media_dir=media_dir)


def _holds_arrays(collection: Any, entry: Entry) -> bool:
    kept = collection.classified[entry.video.video_id]
    return all(np.array_equal(getattr(kept, name), getattr(entry.encoded, name)) for name in ARRAYS)


def _load_class_predictor(bundle_dir: Path, index_dir: Path, num_threads: int, milvus: MilvusAddress | None) -> Predictor:
    if milvus is not None:
        raise ValueError(f"{bundle_dir} answers by class names, and Milvus cannot hold such an index; unset CUEPOINT_MILVUS_URI")
    return ClassPredictor.load(bundle_dir, index_dir, num_threads=num_threads)


KINDS = {
    TWO_STAGE: SearchKind(
        load_bundle=load_bundle,
        open_encoder=lambda bundle, num_threads: VideoIndexer(bundle, num_threads=num_threads),
        open_cache=lambda folder, bundle: VideoCache(folder, bundle.manifest),
        save=_save_two_stage,
        load=lambda folder, bundle: load_collection(folder, bundle.manifest),
        holds=_holds_cells,
        load_predictor=_load_two_stage_predictor,
    ),
    KIND: SearchKind(
        load_bundle=load_class_bundle,
        open_encoder=lambda bundle, num_threads: ClassIndexer(bundle, num_threads=num_threads),
        open_cache=ClassCache,
        save=_save_classes,
        load=load_class_collection,
        holds=_holds_arrays,
        load_predictor=_load_class_predictor,
    ),
}

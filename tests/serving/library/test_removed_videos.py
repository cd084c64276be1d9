"""Deleted videos of the collection stay hidden after restarts and new indexes, in-process and in Milvus."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from search.answers import SearchQuery
from search.milvus.address import MilvusAddress
from search.milvus.index import MilvusClipIndex
from search.milvus.table import compute_key
from search.predictor import MomentPredictor
from serving.library.jobs import JobQueue
from serving.library.library import LibraryLimits, VideoLibrary
from serving.library.media_forms import CollectionMedia, MediaFolders
from stages.index import index

EVERY_VIDEO = SearchQuery("the red circle spins", 100, min_confidence=0)


@contextmanager
def open_library(project: Any, index_dir: Path, state_dir: Path, milvus: MilvusAddress | None) -> Iterator[VideoLibrary]:
    """A library, opened as at the start of a service."""
    with ExitStack() as stack:
        predictor = MomentPredictor.load(project.bundle, index_dir, num_threads=1, milvus=milvus)
        if isinstance(predictor.collection.clips, MilvusClipIndex):
            stack.callback(predictor.collection.clips.close)
        jobs = JobQueue()
        media = CollectionMedia(MediaFolders(project.raw, project.raw, state_dir / "playable"), jobs)
        limits = LibraryLimits(max_uploads=1, max_video_s=60.0)
        library = VideoLibrary(predictor, media, state_dir=state_dir, jobs=jobs, limits=limits)
        stack.callback(library.close)
        library.restore()
        yield library
        (answer,) = predictor.search(EVERY_VIDEO)
        found = {moment.video_id for moment in answer.moments}
        assert found <= set(list_ids(library)) == set(predictor.collection.videos)


def rebuild_index(project: Any, index_dir: Path) -> None:
    shutil.rmtree(index_dir)
    index(
        bundle_dir=project.bundle,
        corpus_dir=project.corpus,
        features_dir=project.features,
        corpus_name="small",
        index_dir=index_dir,
    )


def list_ids(library: VideoLibrary) -> list[str]:
    return [entry.video_id for entry in library.list_videos(0, 9)[0]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["faiss", "milvus"])
def test_a_deleted_video_stays_hidden_until_its_line_is_removed(kind: str, small_project: Any, tmp_path: Path) -> None:
    milvus = MilvusAddress(str(tmp_path / "lite.db"), collection="clips") if kind == "milvus" else None
    index_dir = Path(shutil.copytree(small_project.index, tmp_path / "index"))
    places = small_project, index_dir, tmp_path / "state", milvus
    with open_library(*places) as library:
        library.remove("v1")
        assert list_ids(library) == ["v0", "v2", "v3"]
        with pytest.raises(KeyError, match="there is no video 'v1'"):
            library.remove("v1")
    for _ in range(2):
        with open_library(*places) as library:
            assert list_ids(library) == ["v0", "v2", "v3"]
            if isinstance(clips := library._predictor.collection.clips, MilvusClipIndex):
                assert compute_key("v1") not in clips._table.list_digests()
        rebuild_index(small_project, index_dir)
    assert (small_project.raw / "videos" / "v1.mp4").is_file()
    (tmp_path / "state" / "deletions.jsonl").write_text("")
    with open_library(*places) as library:
        assert list_ids(library) == ["v0", "v1", "v2", "v3"]

"""A file and its stored features give the same clip vectors and cells, in batches of any number."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.media import UndecodableError
from corpus.moments import resample_clips
from corpus.records import load_corpus
from corpus.store import FeatureStore
from serving.bundle import load_bundle
from serving.indexing import EncodedVideo, VideoIndexer
from serving.networks import Networks


@pytest.fixture(scope="module")
def indexer(small_project: Any) -> VideoIndexer:
    return VideoIndexer(load_bundle(small_project.bundle))


def ignore(_: float) -> None:
    """Report to nobody."""


def test_a_file_gives_what_its_stored_features_give(indexer: VideoIndexer, small_project: Any) -> None:
    store = FeatureStore(small_project.features)
    for video in load_corpus(small_project.corpus).videos:
        expected = indexer.encode_features(store.load(video.video_id), duration_s=video.duration_s)
        found = indexer.encode_file(small_project.raw / video.path, report=ignore)
        assert found.duration_s == expected.duration_s
        assert found.vectors.shape == expected.vectors.shape
        np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-3)
        np.testing.assert_allclose(found.cells.astype(np.float32), expected.cells.astype(np.float32), atol=2e-3)


def test_stored_features_give_the_vectors_of_the_whole_video_and_the_cells_of_each_window(
    indexer: VideoIndexer, small_project: Any
) -> None:
    bundle = load_bundle(small_project.bundle)
    features = np.random.default_rng(0).normal(size=(150, 4, 8)).astype(np.float16)  # more than two batches
    found = indexer.encode_features(features, duration_s=75.0)
    np.testing.assert_allclose(found.vectors, Networks(bundle, num_threads=1).embed_clips(features), atol=1e-6)
    windows = bundle.manifest.cut(150, 75.0)
    assert len(found.cells) == len(windows) == 18
    for window, cells in zip(windows, found.cells, strict=True):
        expected = resample_clips(features[window.first : window.end], bundle.manifest.num_cells)
        np.testing.assert_array_equal(cells, expected.astype(np.float16))
    assert found.vectors.dtype == np.float32


def test_batches_of_a_file_change_nothing_and_are_reported(
    indexer: VideoIndexer, small_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_project.raw / "videos" / "v3.mp4"  # 16 clips
    whole = indexer.encode_file(path, report=ignore)
    monkeypatch.setattr("serving.indexing.CLIPS_PER_BATCH", 5)
    shares: list[float] = []
    parts = indexer.encode_file(path, report=shares.append)
    assert shares == [5 / 16, 10 / 16, 15 / 16, 1.0]
    assert isinstance(parts, EncodedVideo)
    np.testing.assert_allclose(parts.vectors, whole.vectors, atol=1e-3)
    np.testing.assert_allclose(parts.cells.astype(np.float32), whole.cells.astype(np.float32), atol=2e-3)


def test_a_file_that_ends_early_is_refused(indexer: VideoIndexer, small_project: Any, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes((small_project.raw / "videos" / "v3.mp4").read_bytes()[:2000])
    with pytest.raises(UndecodableError, match=r"cut\.mp4: it cannot be decoded"):
        indexer.encode_file(path, report=ignore)


def test_features_beyond_float16_are_refused(indexer: VideoIndexer, small_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Networks, "encode_clips", lambda _, clips: np.full((len(clips), 4, 8), 1e6, dtype=np.float32))
    with pytest.raises(ValueError, match="a feature is not a finite float16"):
        indexer.encode_file(small_project.raw / "videos" / "v0.mp4", report=ignore)

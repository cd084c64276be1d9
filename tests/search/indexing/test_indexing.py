"""A file and its stored features give the same clip vectors and cells, for any number of batches."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from corpus.media import StreamSampling, UndecodableError, iter_stream_clips
from corpus.moments import resample_clips
from corpus.records import load_corpus
from corpus.store import FeatureStore, Half, StreamEntry, save_index, save_shard
from corpus.windows import WindowRule
from models.contracts.inputs import load_clips
from models.contracts.windows import cut_stored_videos
from search.bundle import load_bundle
from search.indexing.video_indexer import CLIPS_PER_BATCH, EncodedVideo, VideoIndexer
from search.networks import Networks


@pytest.fixture(scope="module")
def indexer(small_project: Any) -> VideoIndexer:
    return VideoIndexer(load_bundle(small_project.bundle))


@pytest.fixture(scope="module")
def two_stream_indexer(two_stream_project: Any) -> VideoIndexer:
    return VideoIndexer(load_bundle(two_stream_project.bundle))


def ignore(_: float) -> None:
    """Ignore a report."""


def draw_features(**num_clips: int) -> dict[str, Half]:
    """Return features of a video in the shapes of the small projects' streams."""
    generator = np.random.default_rng(0)
    shapes = {"video": (4, 8), "sound": (1, 8)}
    return {name: generator.normal(size=(count, *shapes[name])).astype(np.float16) for name, count in num_clips.items()}


def assert_close(found: EncodedVideo, expected: EncodedVideo) -> None:
    assert found.duration_s == expected.duration_s
    assert found.vectors.shape == expected.vectors.shape
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-3)
    assert set(found.cells) == set(expected.cells)
    for name, cells in found.cells.items():
        assert cells.num_clips == expected.cells[name].num_clips
        wanted = expected.cells[name].array.astype(np.float32)
        np.testing.assert_allclose(cells.array.astype(np.float32), wanted, atol=2e-3)


@pytest.mark.parametrize("name", ["small_project", pytest.param("two_stream_project", marks=pytest.mark.slow)])
def test_a_file_gives_what_its_stored_features_give(name: str, request: pytest.FixtureRequest) -> None:
    project = request.getfixturevalue(name)
    indexer, store = VideoIndexer(load_bundle(project.bundle)), FeatureStore(project.features)
    for video in load_corpus(project.corpus).videos:
        features = {stream: stored.load(video.video_id) for stream, stored in store.streams.items()}
        expected = indexer.encode_features(features, duration_s=video.duration_s)
        assert_close(indexer.encode_file(project.raw / video.path, report=ignore), expected)


def test_stored_features_give_the_vectors_of_the_whole_video_and_the_cells_of_each_window(
    indexer: VideoIndexer, small_project: Any
) -> None:
    bundle = load_bundle(small_project.bundle)
    features = draw_features(video=150)  # more than two batches
    found = indexer.encode_features(features, duration_s=75.0)
    np.testing.assert_allclose(found.vectors, Networks(bundle, num_threads=1).embed_clips(features), atol=1e-6)
    cells = found.cut(bundle.manifest)
    assert len(cells.windows) == 18
    assert len(cells.streams["video"].array) == 75  # two clips each; without sharing, windows would have 18 * 8
    for number, window in enumerate(cells.windows):
        expected = resample_clips(features["video"][window.first : window.end], bundle.manifest.num_cells)
        np.testing.assert_array_equal(cells.get(number)[0]["video"], expected.astype(np.float16))
    assert found.vectors.dtype == np.float32


@pytest.mark.parametrize(("duration_s", "num_clips"), [(75.0, {"video": 150, "sound": 225}), (1.0, {"video": 2, "sound": 3})])
@pytest.mark.slow
def test_several_streams_give_the_vectors_and_cells_that_training_sees(
    two_stream_indexer: VideoIndexer, two_stream_project: Any, tmp_path: Path, duration_s: float, num_clips: dict[str, int]
) -> None:
    """The expected values come from the feature store, through the code of training and evaluation."""
    bundle, features = load_bundle(two_stream_project.bundle), draw_features(**num_clips)
    entries = {}
    for name, stream in bundle.manifest.streams.items():
        shard = save_shard({"v": features[name]}, tmp_path / name / "shard-000.safetensors")
        entries[name] = StreamEntry(stream.fingerprint, stream.clip_rate_hz, [shard])
    save_index(tmp_path, entries)
    found, store = two_stream_indexer.encode_features(features, duration_s=duration_s), FeatureStore(tmp_path)
    clips = load_clips(store, ("video", "sound"), "v", duration_s=duration_s)
    np.testing.assert_allclose(found.vectors, Networks(bundle, num_threads=1).embed_clips(clips), atol=1e-6)
    videos = cut_stored_videos(store, ("sound", "video"), {"v": duration_s}, 8, WindowRule(bundle.manifest.window_s))
    cells = found.cut(bundle.manifest)
    assert cells.windows == videos.windows["v"]
    for window in videos.list_ids("v"):
        for name, expected in videos.cells[window].items():
            np.testing.assert_array_equal(cells.get(window.number)[0][name], expected)


@pytest.mark.parametrize("name", ["small_project", pytest.param("two_stream_project", marks=pytest.mark.slow)])
def test_cells_in_a_file_are_those_in_memory(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    indexer = VideoIndexer(load_bundle(request.getfixturevalue(name).bundle))
    features = draw_features(video=150, sound=225) if name == "two_stream_project" else draw_features(video=150)
    expected = indexer.encode_features(features, duration_s=75.0)
    monkeypatch.setattr("search.indexing.cell_writer.CELLS_IN_MEMORY", 10)
    found = indexer.encode_features(features, duration_s=75.0)
    for stream, cells in found.cells.items():
        assert isinstance(cells.array.base, np.memmap)
        np.testing.assert_array_equal(cells.array, expected.cells[stream].array)


def test_batches_of_a_file_change_nothing_and_are_reported(
    indexer: VideoIndexer, small_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_project.raw / "videos" / "v3.mp4"  # 16 clips
    whole = indexer.encode_file(path, report=ignore)
    monkeypatch.setattr("search.indexing.video_indexer.CLIPS_PER_BATCH", 5)
    shares: list[float] = []
    parts = indexer.encode_file(path, report=shares.append)
    assert shares == [5 / 16, 10 / 16, 15 / 16, 1.0]
    assert_close(parts, whole)


@pytest.mark.slow
def test_streams_are_read_once_and_side_by_side_in_time(
    two_stream_indexer: VideoIndexer, two_stream_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = two_stream_project.raw / "videos" / "v3.mp4"  # 8 s, 16 and 24 clips
    whole = two_stream_indexer.encode_file(path, report=ignore)
    read: list[tuple[str, int]] = []

    def watch(path: Path, sampling: StreamSampling, **options: Any) -> Iterator[Any]:
        for clips in iter_stream_clips(path, sampling, **options):
            read.append(("sound" if sampling.kind == "sound" else "video", len(clips)))
            yield clips

    monkeypatch.setattr("search.indexing.video_indexer.CLIPS_PER_BATCH", 4)
    monkeypatch.setattr("search.indexing.video_indexer.iter_stream_clips", watch)
    shares: list[float] = []
    assert_close(two_stream_indexer.encode_file(path, report=shares.append), whole)
    for name, num_clips in (("video", 16), ("sound", 24)):
        assert sum(count for stream, count in read if stream == name) == num_clips
    read_s = {"video": 0.0, "sound": 0.0}
    for name, count in read:
        read_s[name] += count / (2.0 if name == "video" else 3.0)
        assert abs(read_s["video"] - read_s["sound"]) <= 2.0  # of a batch of `video`: neither is held back whole
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.slow
def test_a_stream_that_only_the_localizer_reads_is_read_whole(two_stream_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, features = load_bundle(two_stream_project.bundle), draw_features(video=150, sound=225)
    manifest = bundle.manifest.model_copy(update={"retriever_streams": ("video",), "localizer_streams": ("sound",)})
    embedded: list[set[str]] = []

    def embed(_: Networks, streams: Mapping[str, Half]) -> NDArray[np.float32]:
        embedded.append(set(streams))
        return np.eye(8, dtype=np.float32)[[0] * len(streams["video"])]

    monkeypatch.setattr(Networks, "embed_clips", embed)
    found = VideoIndexer(replace(bundle, manifest=manifest)).encode_features(features, duration_s=75.0)
    assert embedded == [{"video"}] * -(-150 // CLIPS_PER_BATCH)
    assert len(found.vectors) == 150
    assert set(found.cells) == {"sound"}
    cells = found.cut(manifest)
    for number, window in enumerate(cells.windows):
        expected = resample_clips(features["sound"][window.first : window.end], manifest.num_cells)
        np.testing.assert_array_equal(cells.get(number)[0]["sound"], expected.astype(np.float16))


def test_a_file_that_ends_early_is_refused(indexer: VideoIndexer, small_project: Any, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes((small_project.raw / "videos" / "v3.mp4").read_bytes()[:2000])
    with pytest.raises(UndecodableError, match=r"cut\.mp4: it cannot be decoded"):
        indexer.encode_file(path, report=ignore)


def test_features_beyond_float16_are_refused(indexer: VideoIndexer, small_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Networks, "encode_clips", lambda _, __, clips: np.full((len(clips), 4, 8), 1e6, dtype=np.float32))
    with pytest.raises(ValueError, match="a feature is not a finite float16"):
        indexer.encode_file(small_project.raw / "videos" / "v0.mp4", report=ignore)

"""The cache of encoded files: it returns all streams of a file, and entries belong to the encoders that made them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.store import Half
from search.bundle import Bundle, Manifest, load_bundle
from search.indexing.video_cache import VideoCache
from search.indexing.video_indexer import EncodedVideo, VideoIndexer

pytestmark = pytest.mark.slow
SHA256 = "0" * 64


@pytest.fixture(scope="module")
def bundle(two_stream_project: Any) -> Bundle:
    return load_bundle(two_stream_project.bundle)


@pytest.fixture(scope="module")
def encoded(bundle: Bundle) -> EncodedVideo:
    generator = np.random.default_rng(0)

    def draw(*shape: int) -> Half:
        return generator.normal(size=shape).astype(np.float16)

    found = VideoIndexer(bundle).encode_features({"video": draw(40, 4, 8), "sound": draw(60, 1, 8)}, duration_s=20.0)
    return found._replace(notes=("3 of 200 frames are damaged",))


def test_the_streams_of_a_video_are_read_unchanged(bundle: Bundle, encoded: EncodedVideo, tmp_path: Path) -> None:
    cache = VideoCache(tmp_path, bundle.manifest)
    cache.save(SHA256, encoded)
    found = cache.load(SHA256)
    assert found is not None
    assert (found.duration_s, found.notes) == (encoded.duration_s, encoded.notes)
    np.testing.assert_array_equal(found.vectors, encoded.vectors)
    assert {name: cells.num_clips for name, cells in found.cells.items()} == {"sound": 60, "video": 40}
    for name, cells in encoded.cells.items():
        np.testing.assert_array_equal(found.cells[name].array, cells.array)
    found.cut(bundle.manifest)


def test_a_video_with_a_damaged_stream_is_missing(bundle: Bundle, encoded: EncodedVideo, tmp_path: Path) -> None:
    cache = VideoCache(tmp_path, bundle.manifest)
    cache.save(SHA256, encoded)
    (path,) = tmp_path.rglob("*.cells-sound.npy")
    path.write_bytes(path.read_bytes()[:-2])
    assert cache.load(SHA256) is None
    cache.remove(SHA256)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def swap_streams(manifest: Manifest) -> Manifest:
    return manifest.model_copy(update={"localizer_streams": ("video", "sound")})


def sample_more(manifest: Manifest) -> Manifest:
    sound = manifest.streams["sound"]
    assert sound.sampling is not None
    other = sound.model_copy(update={"sampling": sound.sampling.model_copy(update={"clip_rate_hz": 4.0})})
    return manifest.model_copy(update={"streams": {**manifest.streams, "sound": other}})


def change_encoder(manifest: Manifest) -> Manifest:
    file = manifest.files["encoder_sound.onnx"].model_copy(update={"sha256": "1" * 64})
    return manifest.model_copy(update={"files": {**manifest.files, "encoder_sound.onnx": file}})


@pytest.mark.parametrize("change", [swap_streams, sample_more, change_encoder])
def test_a_changed_encoding_of_any_stream_changes_the_name(bundle: Bundle, change: Callable[[Manifest], Manifest]) -> None:
    assert change(bundle.manifest).encoding != bundle.manifest.encoding


def test_other_settings_of_the_search_change_nothing(bundle: Bundle) -> None:
    search = bundle.manifest.search.model_copy(update={"survivors": 9})
    assert bundle.manifest.model_copy(update={"search": search}).encoding == bundle.manifest.encoding

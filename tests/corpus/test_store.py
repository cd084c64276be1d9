"""Feature store: returns the written streams, and refuses damage and mixed fingerprints."""

from pathlib import Path

import numpy as np
import pytest

from corpus.store import (
    FeatureStore,
    Fingerprint,
    FingerprintMismatchError,
    StreamEntry,
    choose_shard,
    combine_fingerprints,
    require_same_fingerprint,
    save_index,
    save_shard,
)

FINGERPRINT = Fingerprint(identity={"sampling": "2 Hz", "weights": "ab"}, environment={"decoder": "1"})
SOUND = Fingerprint(identity={"weights": "cd"}, environment={"decoder": "3"})


def draw(seed: int, num_clips: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_clips, 4, 8)).astype(np.float16)


@pytest.fixture
def features() -> dict[str, np.ndarray]:
    return {"b": draw(0, 3), "a": draw(1, 5), "c/ä": draw(2, 1)}


@pytest.fixture
def folder(tmp_path: Path, features: dict[str, np.ndarray]) -> Path:
    """Write a store of two streams; `video` has two shards."""
    shards = [
        save_shard({name: features[name] for name in names}, tmp_path / "video" / f"shard-{number:03d}.safetensors")
        for number, names in enumerate([("b", "a"), ("c/ä",)])
    ]
    sound = {name: array[:1, :1] for name, array in features.items()}
    entries = {
        "video": StreamEntry(FINGERPRINT, 2.0, shards),
        "sound": StreamEntry(SOUND, None, [save_shard(sound, tmp_path / "sound" / "shard-000.safetensors")]),
    }
    save_index(tmp_path, entries)
    return tmp_path


def test_a_store_returns_the_written_features(folder: Path, features: dict[str, np.ndarray]) -> None:
    store = FeatureStore(folder).stream("video")
    assert store.video_ids == ("a", "b", "c/ä")
    assert (store.fingerprint, store.clip_rate_hz, store.feature_shape) == (FINGERPRINT, 2.0, (4, 8))
    for video_id, found in store.items():
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, features[video_id])


def test_each_stream_has_its_own_features_rate_and_fingerprint(folder: Path, features: dict[str, np.ndarray]) -> None:
    store = FeatureStore(folder)
    assert list(store.streams) == ["sound", "video"]
    sound = store.stream("sound")
    assert (sound.fingerprint, sound.clip_rate_hz, sound.feature_shape, sound.count_clips("a")) == (SOUND, None, (1, 8), 1)
    np.testing.assert_array_equal(sound.load("b"), features["b"][:1, :1])


def test_an_unknown_stream_is_named_with_the_known_ones_and_the_command_that_adds_it(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"holds no stream 'motion', only sound, video; add it.*dvc exp run -S \+pretrain.streams.motion=PRESET"
    ):
        FeatureStore(folder).stream("motion")


def test_the_fingerprint_of_streams_names_the_stream_of_each_part(folder: Path) -> None:
    store = FeatureStore(folder)
    assert store.fingerprint.identity == {"sound.weights": "cd", "video.sampling": "2 Hz", "video.weights": "ab"}
    assert store.fingerprint.environment == {"sound.decoder": "3", "video.decoder": "1"}
    assert store.combine_fingerprint(["video"]) == combine_fingerprints({"video": FINGERPRINT})
    assert store.combine_fingerprint(["video", "sound"]) == store.combine_fingerprint(["sound", "video"]) == store.fingerprint
    assert store.combine_fingerprint([]) == Fingerprint({}, {})


def test_a_store_of_another_version_names_the_command_that_rebuilds_it(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"fingerprint": {}, "clip_rate_hz": 2.0, "shards": []}')
    with pytest.raises(ValueError, match="has format_version None, this code reads 2; run: dvc repro --force extract"):
        FeatureStore(tmp_path)


def test_a_shard_is_the_same_bytes_in_any_order_of_its_videos(tmp_path: Path, features: dict[str, np.ndarray]) -> None:
    one = save_shard(features, tmp_path / "one.safetensors")
    two = save_shard(dict(reversed(features.items())), tmp_path / "two.safetensors")
    assert one.sha256 == two.sha256
    assert dict(one.num_clips) == {"a": 5, "b": 3, "c/ä": 1}


def test_a_store_without_an_index_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="index.json does not exist: no finished feature store; run: dvc repro extract"):
        FeatureStore(tmp_path)


def test_an_unknown_video_is_named(folder: Path) -> None:
    with pytest.raises(KeyError, match="no features for video 'x'"):
        FeatureStore(folder).stream("video").load("x")


def test_one_flipped_bit_is_found_when_the_shard_is_opened(folder: Path) -> None:
    path = folder / "video" / "shard-000.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    store = FeatureStore(folder).stream("video")
    with pytest.raises(
        ValueError, match=r"shard-000.safetensors is damaged: sha256 \w+, expected \w+; run: dvc repro --force extract"
    ):
        store.load("a")
    assert len(store.load("c/ä")) == 1


def test_a_video_keeps_its_shard() -> None:
    assert choose_shard("v_GGSY1Qvo990", 8) == choose_shard("v_GGSY1Qvo990", 8)
    assert {choose_shard(f"v{number}", 8) for number in range(200)} == set(range(8))


def test_another_identity_is_refused_with_the_field_and_both_values() -> None:
    other = Fingerprint(identity={"sampling": "1 Hz", "weights": "ab"}, environment={"decoder": "1"})
    with pytest.raises(
        FingerprintMismatchError, match=r"the bundle was made with other features \(sampling: expected 2 Hz, found 1 Hz\)"
    ):
        require_same_fingerprint(expected=FINGERPRINT, found=other, what="the bundle")


def test_another_environment_only_warns() -> None:
    other = Fingerprint(identity=FINGERPRINT.identity, environment={"decoder": "2"})
    with pytest.warns(UserWarning, match=r"the index was made in another environment \(decoder: expected 1, found 2\)"):
        require_same_fingerprint(expected=FINGERPRINT, found=other, what="the index")
    assert other.digest == FINGERPRINT.digest


def test_a_fingerprint_survives_its_json_form() -> None:
    assert Fingerprint.from_json(FINGERPRINT.to_json()) == FINGERPRINT

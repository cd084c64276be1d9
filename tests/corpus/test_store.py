"""The feature store gives back what was written, and refuses damage and mixtures."""

from pathlib import Path

import numpy as np
import pytest

from corpus.store import (
    FeatureStore,
    Fingerprint,
    FingerprintMismatchError,
    choose_shard,
    require_same_fingerprint,
    save_index,
    save_shard,
)

FINGERPRINT = Fingerprint(identity={"sampling": "2 Hz", "weights": "ab"}, environment={"decoder": "1"})


def draw(seed: int, num_clips: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_clips, 4, 8)).astype(np.float16)


@pytest.fixture
def features() -> dict[str, np.ndarray]:
    return {"b": draw(0, 3), "a": draw(1, 5), "c/ä": draw(2, 1)}


@pytest.fixture
def folder(tmp_path: Path, features: dict[str, np.ndarray]) -> Path:
    """A store of two shards."""
    shards = [
        save_shard({name: features[name] for name in names}, tmp_path / f"shard-{number:03d}.safetensors")
        for number, names in enumerate([("b", "a"), ("c/ä",)])
    ]
    save_index(tmp_path, fingerprint=FINGERPRINT, clip_rate_hz=2.0, shards=shards)
    return tmp_path


def test_what_was_written_comes_back(folder: Path, features: dict[str, np.ndarray]) -> None:
    store = FeatureStore(folder)
    assert store.video_ids == ("a", "b", "c/ä")
    assert (store.fingerprint, store.clip_rate_hz, store.feature_shape) == (FINGERPRINT, 2.0, (4, 8))
    for video_id, found in store.items():
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, features[video_id])


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
        FeatureStore(folder).load("x")


def test_one_flipped_bit_is_found_when_the_shard_is_opened(folder: Path) -> None:
    path = folder / "shard-000.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    store = FeatureStore(folder)
    with pytest.raises(
        ValueError, match=r"shard-000.safetensors is damaged: sha256 \w+, expected \w+; run: dvc repro --force extract"
    ):
        store.load("a")
    assert len(store.load("c/ä")) == 1


def test_a_video_keeps_its_shard() -> None:
    assert choose_shard("v_GGSY1Qvo990", 8) == choose_shard("v_GGSY1Qvo990", 8)
    assert {choose_shard(f"v{number}", 8) for number in range(200)} == set(range(8))


def test_another_identity_is_refused_naming_the_field_and_both_values() -> None:
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

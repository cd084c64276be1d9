"""The lock of published files: the first fetch records, later ones verify."""

from pathlib import Path

import pytest

from corpus.files import read_json, sha256_file
from pipeline.published.lock import ModelLock


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


def test_the_first_fetch_records_and_a_later_one_verifies(tmp_path: Path) -> None:
    lock, weights = tmp_path / "models.lock.json", write(tmp_path / "weights", "one")
    ModelLock(lock).verify("real", weights)
    assert read_json(lock) == {"real": {"weights": sha256_file(weights)}}
    before = lock.stat().st_mtime_ns
    ModelLock(lock).verify("real", weights)
    assert lock.stat().st_mtime_ns == before
    ModelLock(lock).verify("other", write(tmp_path / "b" / "weights", "two"))  # of another model
    assert set(read_json(lock)) == {"real", "other"}


def test_other_bytes_under_the_same_name_are_refused(tmp_path: Path) -> None:
    lock, weights = tmp_path / "models.lock.json", write(tmp_path / "weights", "one")
    ModelLock(lock).verify("real", weights)
    write(weights, "two")
    with pytest.raises(ValueError, match=r"weights has the sha256 [0-9a-f]{64}, but .*models\.lock\.json records [0-9a-f]{64}"):
        ModelLock(lock).verify("real", weights)


def test_a_file_that_is_no_lock_is_named(tmp_path: Path) -> None:
    lock = write(tmp_path / "models.lock.json", '{"real": 1}')
    with pytest.raises(ValueError, match=r"models\.lock\.json is not a lock of models"):
        ModelLock(lock)

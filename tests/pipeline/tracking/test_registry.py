"""Registry lookups without MLflow: they find the same champion as MLflow."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tracking import registry
from pipeline.tracking import server as tracking
from pipeline.tracking.promotions import promote
from pipeline.tracking.registry import ServedVersion, find_challenger, find_champion
from pipeline.tracking.server import DIGEST_TAG, TrackingError

ASK = "import sys; from pipeline.tracking.registry import find_champion; print(find_champion(), 'mlflow' in sys.modules)"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a registry in a folder that does not exist yet."""
    path = tmp_path / "my runs" / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    return path


def write_store(path: Path, *, digest: str | None = "abc", alias: str = "champion") -> None:
    """Write a version with an alias in the layout of MLflow's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE registered_model_aliases (alias, version INTEGER, name, workspace)")
        connection.execute("CREATE TABLE model_version_tags (key, value, name, version INTEGER, workspace)")
        connection.execute("INSERT INTO registered_model_aliases VALUES (?, 3, 'cuepoint', 'default')", [alias])
        if digest:
            connection.execute("INSERT INTO model_version_tags VALUES (?, ?, 'cuepoint', 3, 'default')", [DIGEST_TAG, digest])
    connection.close()


def test_without_a_registry_there_is_no_champion_and_none_is_made(store: Path) -> None:
    assert (find_champion(), find_challenger()) == (None, None)
    assert not store.parent.exists()


def test_a_version_is_found_by_its_alias(store: Path) -> None:
    write_store(store, alias="challenger")
    assert (find_champion(), find_challenger()) == (None, ServedVersion("3", "abc"))


def test_a_version_that_names_no_bento_is_refused(store: Path) -> None:
    write_store(store, digest=None)
    with pytest.raises(ValueError, match="version 3 of the model 'cuepoint' has no tag cuepoint.bundle_sha256; move the alias"):
        find_champion()


@pytest.mark.parametrize("change", ["DROP TABLE registered_model_aliases", "ALTER TABLE model_version_tags RENAME value TO v"])
def test_another_layout_is_left_to_mlflow(store: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_store(store)
    with sqlite3.connect(store) as connection:
        connection.execute(change)
    connection.close()
    monkeypatch.setattr(tracking, "read_champion", lambda: tracking.RegisteredVersion("4", {}, {DIGEST_TAG: "def"}))
    assert find_champion() == ServedVersion("4", "def")


def test_another_kind_of_registry_is_left_to_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(tracking, "read_challenger", lambda: None)
    assert find_challenger() is None


def fail() -> None:
    raise TrackingError("the file must do")


@pytest.mark.slow
def test_the_file_and_mlflow_name_the_same_versions(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = []
    for number, digest in enumerate(("abc", "def", "ghi")):
        (tmp_path / "bundle").mkdir(exist_ok=True)
        (tmp_path / "bundle" / "content").write_text(str(number))
        versions.append(tracking.register_bundle(tmp_path / "bundle", digest=digest, metrics={}, tags={"other": "tag"}))
    promote(versions[0], who="a test", why="it asks")
    promote(versions[1], who="a test", why="it asks")
    tracking.set_challenger(versions[2])
    by_mlflow = [registry._ask_mlflow(alias) for alias in ("champion", "challenger")]
    monkeypatch.setattr(tracking, "read_champion", fail)
    monkeypatch.setattr(tracking, "read_challenger", fail)
    assert [find_champion(), find_challenger()] == by_mlflow == [ServedVersion("2", "def"), ServedVersion("3", "ghi")]
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ServedVersion(version='2', digest='def') False"

"""Fixtures of stage `ingest`: one worker process, and a folder of five videos."""

from pathlib import Path

import pytest

from ingest_folder import row, write_clip, write_rows


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_WORKERS", "1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write five videos of two seconds with one query each."""
    folder = tmp_path / "data" / "raw" / "mine"
    for number in range(5):
        write_clip(folder / "videos" / f"v{number}.mp4", 40 * number)
    write_rows(folder, *(row(f"v{number}") for number in range(5)))
    return folder

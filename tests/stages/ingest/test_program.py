"""The program of stage `ingest`, run with the params and presets of this checkout."""

import subprocess
import sys
from pathlib import Path

import pytest

from corpus.files import read_jsonl
from corpus.records import load_corpus

ROOT = Path(__file__).resolve().parents[3]


def run_program(folder: Path, corpus: str) -> "subprocess.CompletedProcess[str]":
    """Run `identity` and the stage in a folder with the params and presets of this checkout."""
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text().replace("name: shapes", f"name: {corpus}"))
    (folder / "presets").symlink_to(ROOT / "presets")
    subprocess.run([sys.executable, "-m", "stages.identity"], cwd=folder, capture_output=True, check=True)
    program = [sys.executable, "-m", "stages.ingest"]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_program_ends_with_a_message_and_no_output_when_there_is_nothing_to_read(tmp_path: Path) -> None:
    result = run_program(tmp_path, "nothing")
    assert result.returncode == 1
    assert (
        "ingest: error: data/raw/nothing/annotations.jsonl does not exist; put videos/ and annotations.jsonl or" in result.stderr
    )
    assert "Traceback" not in result.stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["identity"]


@pytest.mark.slow
def test_real_videos_are_ingested_and_awkward_ones_join_or_are_quarantined(shared_dir: Path, tmp_path: Path) -> None:
    root = tmp_path / "data" / "raw" / "real"
    (root / "videos").mkdir(parents=True)
    (root / "annotations.jsonl").symlink_to(shared_dir / "real" / "annotations.jsonl")
    for path in [*(shared_dir / "real" / "videos").iterdir(), *(shared_dir / "real" / "odd").iterdir()]:
        (root / "videos" / path.name).symlink_to(path)
    result = run_program(tmp_path, "real")
    assert result.returncode == 0, result.stderr
    corpus = load_corpus(tmp_path / "data" / "corpus")
    assert len(corpus.queries) == 10
    assert {video.video_id: video.rotation for video in corpus.videos if video.rotation} == {
        "video_90": 90, "video_180": 180, "video_270": 270
    }  # fmt: skip
    ((_, quarantined),) = read_jsonl(tmp_path / "data" / "corpus" / "quarantine.jsonl")
    assert (quarantined["video_id"], quarantined["qids"]) == ("corrupted", [])
    assert {split: len(corpus.of_split(split).videos) for split in corpus.splits} == {
        "train": 1,
        "val": 1,
        "test": 1,
        "unlabelled": 5,
    }

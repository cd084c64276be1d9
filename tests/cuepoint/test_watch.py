"""The commands `watch` and `feedback` in a checkout."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from corpus.files import read_jsonl, write_jsonl
from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, save_corpus
from cuepoint.__main__ import main
from serving.traffic.segments import Segments

SENTENCES = tuple(f"the {colour} {shape} spins" for colour in ("red", "blue", "green") for shape in ("circle", "square"))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with an ingested corpus of 30 videos, in which the test runs."""
    (tmp_path / "params.yaml").touch()
    names = [f"c{number}" for number in range(30)]
    splits = ["train"] * 18 + ["val"] * 12
    videos = [
        Video(video_id=name, path=f"videos/{name}.mp4", split=split, sha256=name, duration_s=9.0)
        for name, split in zip(names, splits, strict=True)
    ]
    queries = [
        Query(one.video_id, one.video_id, SENTENCES[number % 6], (Moment(0, 1),), split=one.split)
        for number, one in enumerate(videos)
    ]
    save_corpus(Corpus(tuple(videos), tuple(queries)), tmp_path / "data" / "corpus")
    monkeypatch.delenv("CUEPOINT_STATE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def give_feedback(checkout: Path) -> None:
    row = {"feedback_id": "f", "time_s": 1.0, "query": "a star spins", "video_id": "c1", "start_s": 2, "end_s": 4}
    more = {"verdict": "right", "corrected_start_s": None, "corrected_end_s": None, "answer_id": None}
    (checkout / "data" / "service").mkdir()
    write_jsonl(checkout / "data" / "service" / "feedback.jsonl", [row | more])


def test_feedback_export_adds_to_a_corpus(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    give_feedback(checkout)
    path = checkout / "data" / "raw" / "my_videos" / "annotations.jsonl"
    write_jsonl(path, [{"qid": 1, "vid": "c0", "duration": 9, "query": "a cat", "relevant_windows": [[0, 1]]}])
    assert main(["feedback", "export", "--corpus", "my_videos"]) == 0
    assert "1 annotations from feedback in data/raw/my_videos/annotations.jsonl" in capsys.readouterr().out
    assert [row["query"] for _, row in read_jsonl(path)] == ["a cat", "a star spins"]


def test_feedback_export_without_a_corpus_changes_none(checkout: Path) -> None:
    give_feedback(checkout)
    assert main(["feedback", "export"]) == 0
    ((_, row),) = read_jsonl(checkout / "data" / "reports" / "feedback" / "annotations.jsonl")
    assert (row["relevant_windows"], row["source"]) == ([[2, 4]], "feedback")


def test_without_a_traffic_log_or_feedback_the_remedy_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["feedback", "export"]) == 1
    assert "nobody gave feedback there; name the service's folder with --state" in capsys.readouterr().err


@pytest.mark.slow
def test_watch_prints_and_writes_the_report(checkout: Path, small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("bundle", "index"):
        shutil.copytree(getattr(small_project, name), checkout / "data" / name)
    counts = {"num_characters": 20, "num_words": 9, "num_unknown": 0, "num_moments": 0, "is_limited": False}
    rest = {"answer_id": "", "endpoint": "search", "verdict": "found", "model": "", "index": "", "variant": "", "took_ms": 1.0}
    segments = Segments(checkout / "data" / "service" / "traffic", max_bytes=10**7, max_days=30)
    write_jsonl(checkout / "rows.jsonl", [{"time_s": 3600.0 * number, **counts, **rest} for number in range(1, 31)])
    segments.write((checkout / "rows.jsonl").read_bytes().splitlines(keepends=True))
    segments.close()
    assert main(["watch"]) == 0
    assert "The traffic has moved away from training" in capsys.readouterr().out  # nine words, where training has four
    assert (checkout / "data" / "reports" / "drift" / "drift.html").is_file()
    assert not (checkout / ".cache" / "watch").exists()

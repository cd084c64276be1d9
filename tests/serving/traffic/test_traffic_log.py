"""The traffic log keeps what was answered within its limits, and never disturbs an answer."""

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from search.answers import Verdict
from serving.api.schemas import Moment, SearchAnswer, Versions
from serving.startup.settings import TrafficSettings, find_settings
from serving.traffic import log as log_module
from serving.traffic.log import FOLDER, KEY, TrafficLog
from serving.traffic.rows import Answered, build_row, hash_text
from serving.traffic.segments import Segments, list_segments, read_rows

VERSIONS = Versions(model="m1", model_name="tiny", model_revision=None, index="i1", variant="champion")


def answer(query: str = "a red zebra spins", *, unknown: tuple[str, ...] = ("zebra",), number: int = 0) -> SearchAnswer:
    moment = Moment(
        video_id="v1", title="v1", start_s=1.0, end_s=2.5, score=0.5, confidence=0.7, duration_s=9.0, num_thumbnails=0
    )
    return SearchAnswer(
        answer_id=f"{number:016x}",
        query=query,
        verdict=Verdict.FOUND,
        reason="",
        found=True,
        moments=[moment],
        best_guess=None,
        unknown_words=list(unknown),
        basis=None,
    )


def answered(query: str = "a red zebra spins") -> Answered:
    return Answered(answer(query), "search", False, VERSIONS, took_ms=3.5, time_s=1000.0)


def write(state: Path, *shown: SearchAnswer, **settings: Any) -> TrafficLog:
    log = TrafficLog(state, TrafficSettings(**settings))
    log.start()
    log.note(*shown, endpoint="search", versions=VERSIONS, took_ms=3.5)
    log.stop()
    return log


def test_a_row_has_sentence_answer_and_versions(tmp_path: Path) -> None:
    write(tmp_path, answer())
    (row,) = read_rows(tmp_path / FOLDER)
    assert (row.query, row.num_words, row.num_characters, row.num_unknown) == ("a red zebra spins", 4, 17, 1)
    assert row.unknown_words == ("zebra",)
    assert row.best is not None
    assert (row.best.video_id, row.best.start_s, row.best.end_s, row.best.score) == ("v1", 1.0, 2.5, 0.5)
    assert (row.verdict, row.num_moments, row.model, row.index, row.variant) == (Verdict.FOUND, 1, "m1", "i1", "champion")
    assert abs(row.time_s - time.time()) < 600


@pytest.mark.parametrize("rule", ["hashed", "left_out"])
def test_text_that_is_not_kept_is_nowhere_on_disk(tmp_path: Path, rule: str) -> None:
    write(tmp_path, answer(), answer(number=1), answer("a blue zebra", number=2), text=rule)
    content = b"".join(path.read_bytes() for path in (tmp_path / FOLDER).iterdir())
    assert b"zebra" not in content
    first, same, other = read_rows(tmp_path / FOLDER)
    assert (first.query, first.unknown_words, first.num_unknown) == (None, None, 1)
    assert first.query_hash == same.query_hash
    assert (first.query_hash == other.query_hash) == (rule == "left_out")


def test_the_hash_needs_the_key_which_only_its_owner_reads(tmp_path: Path) -> None:
    write(tmp_path, answer(), text="hashed")
    path = tmp_path / FOLDER / KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (row,) = read_rows(tmp_path / FOLDER)
    assert row.query_hash == hash_text("a red zebra spins", path.read_bytes())
    assert row.query_hash != hash_text("a red zebra spins", b"")


def test_without_room_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path, answer(), max_mb=0)
    assert not (tmp_path / FOLDER).exists()


def test_the_log_stays_within_its_size_and_keeps_the_newest_rows(tmp_path: Path) -> None:
    line = b'{"number": %d}\n'
    segments = Segments(tmp_path, max_bytes=1600, max_days=30)
    for number in range(500):
        segments.write([line % number])
    segments.close()
    numbers = [json.loads(one)["number"] for path in list_segments(tmp_path) for one in path.read_bytes().splitlines()]
    assert sum(path.stat().st_size for path in list_segments(tmp_path)) <= 1600
    assert numbers == list(range(500 - len(numbers), 500))
    assert len(numbers) > 60


def test_segments_without_a_row_of_the_last_days_are_deleted(tmp_path: Path) -> None:
    write(tmp_path, answer())
    (old,) = list_segments(tmp_path / FOLDER)
    os.utime(old, (time.time() - 3 * 86400,) * 2)
    write(tmp_path, answer(number=1), max_days=2)
    assert [row.answer_id for row in read_rows(tmp_path / FOLDER)] == [f"{1:016x}"]


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, answer(), answer(number=1))
    (path,) = list_segments(tmp_path / FOLDER)
    path.write_bytes(path.read_bytes()[:-9])
    assert [row.answer_id for row in read_rows(tmp_path / FOLDER)] == [f"{0:016x}"]


def test_a_row_of_another_version_is_named(tmp_path: Path) -> None:
    row = build_row(answered(), text="kept", key=b"").model_dump(mode="json") | {"row_version": 2}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=r"a\.jsonl line 1 is not a row of this version: row_version"):
        list(read_rows(tmp_path))


def test_a_folder_that_cannot_be_written_costs_rows_but_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FOLDER).write_text("a file in the way")
    log = write(tmp_path, answer(), answer(number=1))
    assert log.num_lost == 2
    assert [record.message.split(":")[0] for record in caplog.records] == ["the traffic log loses rows"]


def test_a_disk_that_hangs_fills_the_queue_and_delays_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: Segments, lines: list[bytes]) -> None:
        hangs.set()
        assert goes_on.wait(60)

    monkeypatch.setattr(Segments, "write", hang)
    monkeypatch.setattr(log_module, "MAX_WAITING", 5)
    log = TrafficLog(tmp_path, TrafficSettings())
    log.start()
    log.note(answer(), endpoint="search", versions=VERSIONS, took_ms=1)
    assert hangs.wait(60)
    for number in range(9):  # returns although nobody reads
        log.note(answer(number=number), endpoint="search", versions=VERSIONS, took_ms=1)
    assert log.num_lost == 4
    goes_on.set()
    log.stop()


def test_settings_are_read_and_refused_by_name() -> None:
    given = {"CUEPOINT_TRAFFIC_MB": "0", "CUEPOINT_TRAFFIC_DAYS": "7", "CUEPOINT_TRAFFIC_TEXT": "hashed"}
    assert find_settings(given).traffic == TrafficSettings(0, 7, "hashed")
    with pytest.raises(ValueError, match="CUEPOINT_TRAFFIC_TEXT = 'plain': it must be one of kept, hashed, left_out"):
        find_settings({"CUEPOINT_TRAFFIC_TEXT": "plain"})
    with pytest.raises(ValueError, match="CUEPOINT_TRAFFIC_DAYS = '0': it must be a whole number, at least 1"):
        find_settings({"CUEPOINT_TRAFFIC_DAYS": "0"})

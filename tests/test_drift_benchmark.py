"""The committed page of the drift benchmark is that of its records, and the records keep the promise on false alarms."""

from pathlib import Path

from drift_page import write_page

from corpus.files import read_jsonl

FOLDER = Path(__file__).parent / "benchmarks"
RECORDS = list(read_jsonl(FOLDER / "drift.jsonl"))


def test_the_committed_page_is_built_from_the_committed_records(tmp_path: Path) -> None:
    write_page(RECORDS, tmp_path / "drift.md", tmp_path / "drift.svg")
    assert (tmp_path / "drift.md").read_text() == (FOLDER / "drift.md").read_text()


def test_at_most_16_of_200_quiet_windows_raise_an_alarm() -> None:
    (quiet,) = [record for _, record in RECORDS if record["kind"] == "false_alarms"]
    assert quiet["windows"] == 200
    assert quiet["alarms"] <= 16


def test_a_window_of_shifted_sentences_alone_raises_an_alarm_at_once() -> None:
    (shifted,) = [record for _, record in RECORDS if record["kind"] == "delay" and record["share"] == 1.0]
    assert set(shifted["alarms"]) == {100}
    assert set(shifted["retrains"]) == {200}

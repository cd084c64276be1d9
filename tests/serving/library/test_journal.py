"""A journal returns every acknowledged row, however its writer ended."""

import errno
import os
from pathlib import Path

import pytest

from serving.library.journal import Journal


def test_rows_are_read_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a" / "rows.jsonl")
    for number in range(3):
        journal.append({"number": number, "text": "\u00fc\ud83d\n"})
    journal.close()
    again = Journal(tmp_path / "a" / "rows.jsonl")
    assert [row["number"] for row in again.read()] == [0, 1, 2]
    again.close()


@pytest.mark.parametrize("length", range(1, 16))
def test_a_partial_line_is_removed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"number": 0}\n' + b'{"number": 1}\n'[: length % 14])
    journal = Journal(path)
    journal.append({"number": 2})
    assert [row["number"] for row in journal.read()] == [0, 2]
    journal.close()


def test_a_row_that_does_not_fit_on_the_disk_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "rows.jsonl")
    journal.append({"number": 0})

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            journal.append({"number": 1})
    journal.append({"number": 2})
    assert [row["number"] for row in journal.read()] == [0, 2]
    journal.close()


def test_a_row_above_the_limit_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "rows.jsonl")
    with pytest.raises(ValueError, match="longer than the limit of 65536 bytes"):
        journal.append({"text": "x" * 70000})
    assert journal.measure_bytes() == 0
    journal.close()

"""Atomic writes: files are whole or absent."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from corpus.files import (
    read_json,
    read_jsonl,
    remove_all_but,
    sha256_file,
    sha256_json,
    write_bytes,
    write_file,
    write_json,
    write_jsonl,
)


def test_bytes_arrive_and_folders_are_made(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b.bin", b"abc")
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"abc"
    assert os.listdir(tmp_path / "a") == ["b.bin"]


def test_a_write_that_fails_leaves_the_old_file_and_names_the_new(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_bytes(path, b"old")

    def fill_the_disk(file: BinaryIO) -> None:
        file.write(b"1234")
        file.flush()
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match=r"cannot write .*report.json \(4 bytes written\): Input/output error"):
        write_file(path, fill_the_disk)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_write_that_breaks_leaves_nothing_behind(tmp_path: Path) -> None:
    def break_off(_: BinaryIO) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_file(tmp_path / "new", break_off)
    assert os.listdir(tmp_path) == []


def test_equal_values_give_equal_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "ä"})
    write_json(tmp_path / "b.json", {"a": "ä", "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": "ä", "b": 1}


def test_lines_come_back_with_their_numbers_without_the_blank_ones(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": 1}, [2]])
    path.write_text(path.read_text().replace("\n", "\n\n", 1))
    assert list(read_jsonl(path)) == [(1, {"a": 1}), (3, [2])]


def test_invalid_json_is_named_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n{oops\n")
    with pytest.raises(ValueError, match="rows.jsonl line 2 is not JSON"):
        list(read_jsonl(tmp_path / "rows.jsonl"))
    (tmp_path / "one.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="one.json is not JSON"):
        read_json(tmp_path / "one.json")


def test_checksums_are_those_of_the_bytes_and_of_the_value(tmp_path: Path) -> None:
    write_bytes(tmp_path / "x", b"cue")
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"cue").hexdigest()
    assert sha256_json({"a": 1, "b": [2]}) == sha256_json({"b": [2], "a": 1})
    assert sha256_json({"a": 1}) != sha256_json({"a": 2})


def test_everything_but_kept_entries_is_removed(tmp_path: Path) -> None:
    for name in ("kept/a", "gone/b/c", "file"):
        write_bytes(tmp_path / name, b"1")
    remove_all_but(tmp_path, {tmp_path / "kept"})
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "a").is_file()
    remove_all_but(tmp_path / "absent", set())

"""Decoding in child processes: failing videos are named after all others are done; a full disk is no fault of a video."""

import errno
import os
import signal
from pathlib import Path

import pytest

from corpus.files import NoRoomError
from corpus.isolation import Budget, Report
from corpus.media import UndecodableError
from pipeline.executors.decoding import decode_videos


def work(path: Path, report: Report) -> str:
    if path.name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name == "refused":
        raise UndecodableError(path, "it holds no video stream")
    if path.name == "full":
        raise NoRoomError(errno.ENOSPC, "cannot write it; free some")
    return path.name.upper()


@pytest.mark.slow
def test_files_that_fail_are_named_when_the_others_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_WORKERS", "1")
    done: list[tuple[Path, str]] = []
    paths = [Path("crash"), Path("a"), Path("refused"), Path("b")]
    with pytest.raises(ValueError, match="2 of 4 videos cannot be used") as caught:
        done.extend(decode_videos(work, paths, budget=Budget(silence_s=30)))
    assert done == [(Path("a"), "A"), (Path("b"), "B")]
    _, first, second, remedy = str(caught.value).splitlines()
    assert first == "crash: the process that read it ended with code -11"
    assert second == "refused: it holds no video stream"
    assert remedy.startswith("replace or remove these files, then run: dvc repro")


@pytest.mark.slow
def test_a_full_disk_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_WORKERS", "1")
    with pytest.raises(NoRoomError, match="cannot write it; free some"):
        list(decode_videos(work, [Path("full"), Path("a")]))


def test_without_videos_nothing_is_done() -> None:
    assert list(decode_videos(work, [])) == []

"""A process that is killed while it encodes a file leaves pieces; the next run resumes from them and writes the same bytes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from corpus.files import sha256_file
from corpus.store import Half
from search.class_names import video as class_video
from search.class_names.networks import ClassNetworks
from search.indexing import unfinished, video_indexer
from search.indexing.encode_work import EncodeWork, KeepWork, hash_file
from search.indexing.unfinished import UnfinishedFile
from search.kinds import open_bundle, open_cache
from search.networks import Networks

ROOT = Path(__file__).resolve().parents[3]
BATCH = 2
KILLED = f"""
import os, signal, sys
from pathlib import Path
from search.class_names import video as class_video
from search.indexing import unfinished, video_indexer
from search.indexing.encode_work import EncodeWork, KeepWork, hash_file
from search.kinds import open_bundle, open_cache

unfinished.KEEP_EVERY_S = 0.0
video_indexer.CLIPS_PER_BATCH = class_video.FRAMES_PER_BATCH = {BATCH}
folder, path, output = map(Path, sys.argv[1:])
bundle = open_bundle(folder)
work = KeepWork(EncodeWork(folder, bundle.version, {{path: hash_file(path)}}), open_cache(output, bundle))
work(path, lambda share: share > 0.6 and os.kill(os.getpid(), signal.SIGKILL))
"""


class Case(NamedTuple):
    """A bundle, a file that it encodes, and the method that runs its encoders."""

    bundle: Path
    path: Path
    network: tuple[type, str]


@pytest.fixture(params=["small_project", "two_stream_project", "class_project"])
def case(request: pytest.FixtureRequest) -> Case:
    project: Any = request.getfixturevalue(request.param)
    if request.param == "class_project":
        return Case(project.bundle, project.videos / "white.mp4", (ClassNetworks, "classify"))
    return Case(project.bundle, project.raw / "videos" / "v3.mp4", (Networks, "encode_clips"))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_indexer, "CLIPS_PER_BATCH", BATCH)
    monkeypatch.setattr(class_video, "FRAMES_PER_BATCH", BATCH)


def encode(case: Case, output: Path) -> None:
    bundle = open_bundle(case.bundle)
    work = EncodeWork(case.bundle, bundle.version, {case.path: hash_file(case.path)})
    KeepWork(work, open_cache(output, bundle))(case.path, lambda share: None)


def kill_while_encoding(case: Case, output: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED, str(case.bundle), str(case.path), str(output)]
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == -signal.SIGKILL


def hash_files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def count_rows(case: Case, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that receives the number of rows of each run of the encoders."""
    counts: list[int] = []
    run = getattr(*case.network)

    def count(networks: Any, *arguments: Any) -> Any:
        counts.append(len(arguments[-1]))
        return run(networks, *arguments)

    monkeypatch.setattr(*case.network, count)
    return counts


@pytest.mark.slow
@pytest.mark.usefixtures("small_batches")
def test_a_killed_file_goes_on_and_ends_with_the_bytes_of_a_single_run(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_rows(case, monkeypatch)
    encode(case, tmp_path / "whole")
    num_rows = sum(counts)
    kill_while_encoding(case, tmp_path / "killed")
    assert list((tmp_path / "killed").rglob("*.part-*"))
    counts.clear()
    encode(case, tmp_path / "killed")
    assert 0 < sum(counts) < num_rows / 2
    assert hash_files(tmp_path / "killed") == hash_files(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.usefixtures("small_batches")
def test_damaged_pieces_are_encoded_again(small_project: Any, tmp_path: Path) -> None:
    case = Case(small_project.bundle, small_project.raw / "videos" / "v3.mp4", (Networks, "encode_clips"))
    encode(case, tmp_path / "whole")
    kill_while_encoding(case, tmp_path / "killed")
    first, second, third, *_ = sorted((tmp_path / "killed").rglob("*.part-*"))
    first.write_bytes(first.read_bytes()[:-1] + b"\x01")
    second.write_bytes(b"")
    third.unlink()
    encode(case, tmp_path / "killed")
    assert hash_files(tmp_path / "killed") == hash_files(tmp_path / "whole")


def draw(num_rows: int) -> Half:
    return np.random.default_rng(num_rows).standard_normal((num_rows, 3)).astype(np.float16)


def split(rows: Half, first: int) -> Iterator[Half]:
    return (rows[start : start + BATCH] for start in range(first, len(rows), BATCH))


@pytest.mark.parametrize("num_batches", [0, 1, 3, 4])
def test_batches_are_those_of_a_single_run_wherever_it_ended(
    num_batches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "KEEP_EVERY_S", 0.0)
    rows, firsts = draw(7), list[int]()

    def encode_from(first: int) -> Iterator[Half]:
        firsts.append(first)
        return split(rows, first)

    batches = UnfinishedFile(tmp_path, "a").resume("video", encode_from, rows_per_batch=BATCH)
    for _ in range(num_batches):
        next(batches)
    again = list(UnfinishedFile(tmp_path, "a").resume("video", encode_from, rows_per_batch=BATCH))
    assert firsts == [0, min(num_batches * BATCH, len(rows))]
    assert list(map(len, again)) == [2, 2, 2, 1]
    assert np.array_equal(np.concatenate(again), rows)


def test_pieces_belong_to_their_file_and_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "KEEP_EVERY_S", 0.0)
    one, other = UnfinishedFile(tmp_path, "a"), UnfinishedFile(tmp_path, "b")
    for file, stream in ((one, "video"), (one, "video-2"), (other, "video")):
        list(file.resume(stream, partial(split, draw(len(stream))), rows_per_batch=BATCH))
    found = list(one.resume("video-2", lambda first: (), rows_per_batch=BATCH))
    assert np.array_equal(np.concatenate(found), draw(len("video-2")))
    one.remove()
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"b"}


def test_a_file_that_takes_a_moment_leaves_nothing(tmp_path: Path) -> None:
    rows = draw(7)
    found = list(UnfinishedFile(tmp_path, "a").resume("video", partial(split, rows), rows_per_batch=BATCH))
    assert np.array_equal(np.concatenate(found), rows)
    assert list(tmp_path.iterdir()) == []

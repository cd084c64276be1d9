"""Writers on a full disk: the error names file and sizes, and no truncated or temporary file is left."""

import contextlib
import functools
import os
import re
import resource
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from corpus.files import NoRoomError, write_bytes, write_file
from corpus.media import ClipSampling
from corpus.records import load_corpus
from corpus.store import save_shard
from models.training.checkpoint_files import WholeCheckpointIO
from pipeline.disk.disk_room import describe_no_room
from pipeline.executors.clip_cache import ClipCache
from pipeline.executors.machine import map_in_processes
from pipeline.executors.probing import probe_file
from pipeline.executors.process import hold_lock
from pipeline.packaging.bento import archive_bento
from pipeline.tracking.spool import Spool
from small_disk import SmallDisk

pytestmark = pytest.mark.fault

ROOM_BYTES = 64 << 10
NOISE = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
Write = Callable[[Path], object]


SHARD = {"v0": np.zeros((1000, 1, 100), dtype=np.float16)}


def write_shard(path: Path) -> None:
    save_shard(SHARD, path)


def write_checkpoint(path: Path) -> None:
    WholeCheckpointIO().save_checkpoint({"weights": torch.zeros(50_000)}, path)


def write_archive(path: Path) -> None:
    source = path.parent.parent / "bento"
    source.mkdir(exist_ok=True)
    (source / "bento.yaml").write_text("name: cuepoint\n")
    if not (source / "weights").exists():
        (source / "weights").write_bytes(NOISE)
    archive_bento(source, path)


def write_in_parts(path: Path) -> None:
    write_file(path, lambda file: [file.write(NOISE[start : start + 1000]) for start in range(0, len(NOISE), 1000)])


WRITERS: dict[str, Write] = {
    "bytes": lambda path: write_bytes(path, NOISE),
    "in parts": write_in_parts,
    "shard": write_shard,
    "checkpoint": write_checkpoint,
    "archive": write_archive,
}


@pytest.fixture
def size_limit() -> Iterator[None]:
    """Limit the files of this process to 64 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_does_not_fit_is_named_with_its_size_and_leaves_the_old_file(writer: str, small_disk: SmallDisk) -> None:
    path = small_disk.path / "folder" / "old"
    write_bytes(path, b"old")
    if writer == "archive":
        (small_disk.path / "bento").mkdir()
        (small_disk.path / "bento" / "weights").write_bytes(NOISE)
    small_disk.fill(leaving=ROOM_BYTES)
    with pytest.raises(NoRoomError) as caught:
        WRITERS[writer](path)
    amount = r"(2\d{5}|300000) bytes are needed|\d+ bytes were written"
    where = rf"\d+ bytes are free in {re.escape(str(path.parent))}"
    assert re.fullmatch(
        rf"cannot write {re.escape(str(path))}: No space left on device; ({amount}), {where}; free some and run it again",
        str(caught.value),
    )
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["old"]
    small_disk.free_space()
    WRITERS[writer](path)
    assert path.stat().st_size > ROOM_BYTES


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "archive"])
def test_a_limit_on_the_size_of_files_is_named_as_such(writer: str, size_limit: None, tmp_path: Path) -> None:
    path = tmp_path / "old"
    write_bytes(path, b"old")
    with pytest.raises(NoRoomError, match=r"old: File too large; .* raise the limit on a file's size \(ulimit -f\) and run it"):
        WRITERS[writer](path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["old"]


def test_a_worker_process_raises_the_same_error(small_disk: SmallDisk) -> None:
    small_disk.fill(leaving=ROOM_BYTES)
    path = small_disk.path / "shard.safetensors"
    with pytest.raises(NoRoomError, match=rf"^cannot write {re.escape(str(path))}: No space left .* bytes are needed, "):
        list(map_in_processes(functools.partial(save_shard, SHARD), [path], what="write"))
    assert os.listdir(small_disk.path) == ["ballast"]


def save_by_torch(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        torch.save({"weights": torch.zeros(50_000)}, file)


def fill_a_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE numbers (value)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [("x" * 1000,)] * 300)


@pytest.mark.parametrize(
    "write",
    [
        save_by_torch,
        lambda path: save_file({"weights": np.zeros(50_000)}, path),
        fill_a_database,
        lambda path: path.write_bytes(NOISE),
    ],
    ids=["torch", "safetensors", "sqlite", "system"],
)
def test_errors_of_libraries_that_hide_the_reason_are_recognised(write: Write, small_disk: SmallDisk) -> None:
    small_disk.fill(leaving=ROOM_BYTES)
    with pytest.raises(Exception) as caught:  # noqa: PT011 # each library has its own
        write(small_disk.path / "file")
    message = describe_no_room(caught.value)
    assert message is not None
    assert re.search(r"\d+ bytes are free in /.*; free some and run it again$", message)


def test_other_errors_are_not_taken_for_a_full_disk() -> None:
    assert describe_no_room(ValueError("the loss is nan")) is None
    assert describe_no_room(FileNotFoundError(2, "No such file or directory", "x")) is None


def test_an_event_that_does_not_fit_does_not_change_the_spool(small_disk: SmallDisk) -> None:
    spool = Spool(small_disk.path / "tracking", "blind-1")
    spool.append("start", params={"a": 1})
    before = spool.events_path.read_bytes()
    small_disk.fill(leaving=4096)
    with pytest.raises(NoRoomError, match=r"blind-1\.jsonl: No space left on device; 2\d{4} bytes are needed"):
        spool.append("metrics", values={"name": "x" * 20_000})
    assert spool.events_path.read_bytes() == before
    small_disk.free_space()
    spool.append("metrics", values={"loss": 1.0})
    assert [event["kind"] for event in spool.read()] == ["start", "metrics"]


def test_a_lock_that_cannot_be_signed_names_its_file(small_disk: SmallDisk) -> None:
    small_disk.fill(leaving=0)
    with (
        pytest.raises(NoRoomError, match=r"x\.lock: No space left on device; \d+ bytes are needed"),
        hold_lock(small_disk.path / "x.lock", what="stage x"),
    ):
        pass


def test_a_video_is_not_blamed_for_a_full_disk(small_models: Any, small_disk: SmallDisk) -> None:
    small_disk.fill(leaving=0)
    found = probe_file(small_models.raw / "videos" / "v0.mp4", small_disk.path / "probes")
    assert (found.info is not None, found.reason) == (True, "")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_a_truncated_probe_is_made_again(content: bytes, small_models: Any, tmp_path: Path) -> None:
    video = small_models.raw / "videos" / "v0.mp4"
    whole = probe_file(video, tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(content)
    assert probe_file(video, tmp_path) == whole


def test_truncated_clips_are_decoded_again(small_models: Any, tmp_path: Path) -> None:
    videos = load_corpus(small_models.corpus).videos[:1]
    sampling = ClipSampling(clip_rate_hz=1.0, offsets_s=(0.0,), size_px=8)
    cache = ClipCache(tmp_path, videos=videos, media_dir=small_models.raw, sampling=sampling)
    cache.fill()
    (path,) = tmp_path.glob("*/*.npy")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    cache.fill()
    assert path.read_bytes() == whole

"""Quarantine of stage `ingest`: a bad file, or a decoder that hangs or dies, affects no other file."""

import multiprocessing
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from corpus.isolation import Budget
from ingest_folder import row, run, write_clip, write_rows
from pipeline.executors.probing import probe_files

pytestmark = pytest.mark.slow


def test_a_video_that_cannot_be_decoded_is_quarantined_with_its_queries_and_mentions(root: Path, tmp_path: Path) -> None:
    (root / "videos" / "v2.mp4").write_bytes(b"broken")
    write_rows(root, *(row(f"v{number}", elsewhere={"v2": [[0, 1]]} if number == 1 else {}) for number in range(5)))
    found = run(root, tmp_path)
    (video,) = found.quarantine
    assert (video.video_id, video.qids) == ("v2", ("q-v2",))
    assert video.reason.startswith("it cannot be decoded")
    assert "v2" not in {query.video_id for query in found.corpus.queries} | {one.video_id for one in found.corpus.videos}
    assert not any(query.elsewhere for query in found.corpus.queries)
    (note,) = (note for note in found.dropped if note.qid == "q-v2")
    assert (note.row, note.reason) == ("annotations.jsonl line 3", "the video 'v2' is in quarantine")


def test_too_many_undecodable_videos_stop_the_stage_naming_each(root: Path, tmp_path: Path) -> None:
    for name in ("v1", "v3"):
        (root / "videos" / f"{name}.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="2 of 5 videos cannot be decoded, at most 1 may fail") as caught:
        run(root, tmp_path)
    assert "videos/v1.mp4: the file is empty (0 bytes)\nvideos/v3.mp4: " in str(caught.value)
    assert len(run(root, tmp_path, max_quarantine_share=0.4).quarantine) == 2


def test_a_broken_link_is_quarantined(root: Path, tmp_path: Path) -> None:
    (root / "videos" / "link.mp4").symlink_to(root / "nowhere.mp4")
    (video,) = run(root, tmp_path).quarantine
    assert video.video_id == "link"
    assert "it cannot be read" in video.reason


def test_a_corpus_of_which_no_video_can_be_decoded_is_empty(root: Path, tmp_path: Path) -> None:
    for path in (root / "videos").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(
        ValueError, match="empty corpus: no query of .* has a video that can be decoded .*videos/v0.mp4: it cannot be"
    ):
        run(root, tmp_path, max_quarantine_share=1.0)


@pytest.mark.slow
def test_a_hanging_decoder_only_affects_its_file(root: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")  # reading it blocks forever
    files = [root / "videos" / "v0.mp4", tmp_path / "pipe.mp4", root / "videos" / "v1.mp4"]
    budget = Budget(silence_s=8.0, silence_s_per_mebibyte=0)
    probes = {probe.path.name: probe for probe in probe_files(files, cache_dir=tmp_path, num_workers=1, budget=budget)}
    assert probes["pipe.mp4"].reason == "the process that read it made no progress for 8 s"
    assert probes["v0.mp4"].info == probes["v1.mp4"].info is not None


def test_a_crash_or_lack_of_memory_of_the_decoder_only_affects_its_file(root: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "large.mp4", 0, num_frames=2, size=(1920, 1080))  # a frame of 3 MiB
    (probe,) = probe_files([tmp_path / "large.mp4"], cache_dir=tmp_path, num_workers=1, budget=Budget(memory_bytes=1 << 20))
    assert probe.info is None
    assert re.search("process that read it ended with code|cannot be (read|decoded)|needs more than 1 MiB", probe.reason)


def test_a_killed_decoder_only_affects_its_file(root: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    files = [tmp_path / "pipe.mp4", root / "videos" / "v0.mp4"]

    def kill_decoder() -> None:
        while not multiprocessing.active_children():
            time.sleep(0.05)
        (child,) = multiprocessing.active_children()
        os.kill(child.pid or 0, signal.SIGSEGV)

    killer = threading.Thread(target=kill_decoder)
    killer.start()
    probes = {probe.path.name: probe for probe in probe_files(files, cache_dir=tmp_path, num_workers=1)}
    killer.join()
    assert probes["pipe.mp4"].reason == "the process that read it ended with code -11"
    assert probes["v0.mp4"].info is not None

"""Extraction of the features of a few drawn videos."""

import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from corpus.files import sha256_file
from corpus.isolation import Budget
from corpus.media import ClipSampling, iter_clips
from corpus.records import Video
from corpus.store import FeatureStore
from corpus.text import Vocabulary
from models.artefacts.encoder_files import load_encoders, save_encoders
from models.encoders.text.word_vectors import WordVectorsParams
from models.encoders.video.place_cnn import PlaceCNNParams
from pipeline.executors import extraction
from pipeline.executors.extraction import StreamReport, extract
from pipeline.executors.shards import count_shards, group_videos

NUM_VIDEOS = 6


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode videos in this process, because workers take seconds to start; the slow tests use real workers."""

    def decode_here(function: Any, paths: Sequence[Path], *, budget: Budget | None) -> Iterator[tuple[Path, Any]]:
        return ((path, function(path, lambda share: None)) for path in paths)

    monkeypatch.setattr(extraction, "decode_videos", decode_here)


def draw_video(path: Path, seed: int) -> Video:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"threads": "1", "x264-params": "mbtree=0"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(np.roll(image, index, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    name = path.stem
    return Video(video_id=name, path=f"videos/{name}.mp4", split="train", duration_s=2.0, sha256=sha256_file(path))


@pytest.fixture(scope="module")
def media_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def videos(media_dir: Path) -> list[Video]:
    return [draw_video(media_dir / "videos" / f"video{number}.mp4", number) for number in range(NUM_VIDEOS)]


@pytest.fixture(scope="module")
def encoder_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    write_encoders(folder, seed=0)
    return folder


def write_encoders(folder: Path, *, seed: int, rates_hz: Mapping[str, float] | None = None) -> None:
    """Write an encoder for each stream with its clip rate, by default only for `video`."""
    streams = {}
    for name, rate_hz in (rates_hz or {"video": 2.0}).items():
        sampling = ClipSampling(clip_rate_hz=rate_hz, offsets_s=(-0.2, 0.0, 0.2), size_px=16)
        params = PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=4, norm_groups=2)
        torch.manual_seed(seed)
        streams[name] = params.start()
    text = WordVectorsParams(name="word_vectors", dim=4)
    vocabulary = Vocabulary(("red",))
    torch.manual_seed(seed)
    save_encoders(
        folder,
        streams=streams,
        text_params=text,
        text=text.build(len(vocabulary)),
        tokenizer=vocabulary,
    )


def run(
    videos: list[Video],
    media_dir: Path,
    encoder_dir: Path,
    folder: Path,
    *,
    per_shard: int = 2,
    budget: Budget | None = None,
) -> dict[str, StreamReport]:
    """Run the stage like DVC, which empties the output first."""
    shutil.rmtree(folder / "features", ignore_errors=True)
    return extract(
        videos,
        videos_per_shard=per_shard,
        encoder_dir=encoder_dir,
        media_dir=media_dir,
        out_dir=folder / "features",
        cache_dir=folder / "cache",
        budget=budget,
    )


def hash_files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def test_the_store_holds_every_video_as_the_encoder_sees_it(
    videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    run(videos, media_dir, encoder_dir, tmp_path)
    store, encoder = FeatureStore(tmp_path / "features").stream("video"), load_encoders(encoder_dir).streams["video"].encoder
    assert store.video_ids == tuple(video.video_id for video in videos)
    assert store.feature_shape == (4, 4)
    clips = np.concatenate(list(iter_clips(media_dir / videos[0].path, encoder.sampling, duration_s=2.0)))
    expected = encoder(torch.from_numpy(clips.reshape(1, -1, 16, 16, 3)))[0].numpy()
    np.testing.assert_allclose(store.load("video0"), expected, atol=2e-3)


def test_the_fingerprint_is_the_encoders_with_the_decoder_beside_it(
    videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    run(videos, media_dir, encoder_dir, tmp_path)
    fingerprint = FeatureStore(tmp_path / "features").stream("video").fingerprint
    assert fingerprint.digest == load_encoders(encoder_dir).streams["video"].fingerprint.digest
    assert "PyAV" in fingerprint.environment["decoder"]


def test_a_second_run_makes_no_shard_and_gives_the_same_bytes(
    videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    first = run(videos, media_dir, encoder_dir, tmp_path)["video"]
    written = hash_files(tmp_path / "features")
    second = run(videos, media_dir, encoder_dir, tmp_path)["video"]
    assert (first.num_new_videos, second.num_new_videos) == (NUM_VIDEOS, 0)
    assert hash_files(tmp_path / "features") == written


@pytest.mark.parametrize("damage", ["missing", "unfinished", "flipped"])
def test_only_a_lost_or_damaged_shard_is_made_again_with_equal_bytes(
    damage: str, videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    run(videos, media_dir, encoder_dir, tmp_path)
    written = hash_files(tmp_path / "features")
    shard = sorted((tmp_path / "cache" / "shards").rglob("*.safetensors"))[0]
    num_videos = len(json.loads(shard.with_suffix(".json").read_text())["num_clips"])
    if damage == "missing":
        shard.unlink()
    elif damage == "unfinished":
        shard.with_suffix(".json").unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
    assert run(videos, media_dir, encoder_dir, tmp_path)["video"].num_new_videos == num_videos
    assert hash_files(tmp_path / "features") == written


def test_one_changed_video_rewrites_one_shard(videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path) -> None:
    run(videos, media_dir, encoder_dir, tmp_path)
    written = hash_files(tmp_path / "features")
    changed = draw_video(tmp_path / "videos" / "video0.mp4", seed=99)
    for video in videos[1:]:
        (tmp_path / video.path).symlink_to(media_dir / video.path)
    run([changed, *videos[1:]], tmp_path, encoder_dir, tmp_path)
    found = hash_files(tmp_path / "features")
    assert found.keys() == written.keys()
    assert len([name for name in found if name != "index.json" and found[name] != written[name]]) == 1


def test_another_encoder_makes_every_shard_again(videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path) -> None:
    run(videos, media_dir, encoder_dir, tmp_path)
    write_encoders(tmp_path / "other", seed=1)
    assert run(videos, media_dir, tmp_path / "other", tmp_path)["video"].num_new_videos == NUM_VIDEOS


def stat_files(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the modification time and the hash of each file."""
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, sha256_file(path)) for path in folder.rglob("*.*")}


def test_an_added_stream_is_extracted_alone_and_a_removed_one_leaves_nothing(
    videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    run(videos, media_dir, encoder_dir, tmp_path)
    cached, written = stat_files(tmp_path / "cache" / "shards" / "video"), hash_files(tmp_path / "features" / "video")
    write_encoders(tmp_path / "both", seed=0, rates_hz={"video": 2.0, "quick": 4.0})
    reports = run(videos, media_dir, tmp_path / "both", tmp_path)
    assert {name: report.num_new_videos for name, report in reports.items()} == {"video": 0, "quick": NUM_VIDEOS}
    assert {name: report.num_clips for name, report in reports.items()} == {"video": 4 * NUM_VIDEOS, "quick": 8 * NUM_VIDEOS}
    assert stat_files(tmp_path / "cache" / "shards" / "video") == cached
    assert hash_files(tmp_path / "features" / "video") == written
    store = FeatureStore(tmp_path / "features")
    assert {name: (stream.clip_rate_hz, stream.count_clips("video0")) for name, stream in store.streams.items()} == {
        "video": (2.0, 4),
        "quick": (4.0, 8),
    }
    run(videos, media_dir, encoder_dir, tmp_path)
    assert list(FeatureStore(tmp_path / "features").streams) == ["video"]
    assert [path.name for path in (tmp_path / "cache" / "shards").iterdir()] == ["video"]
    assert stat_files(tmp_path / "cache" / "shards" / "video") == cached


def test_another_encoder_of_one_stream_does_not_change_the_others(videos: list[Video], media_dir: Path, tmp_path: Path) -> None:
    for folder, rate_hz in (("one", 4.0), ("two", 3.0)):
        write_encoders(tmp_path / folder, seed=0, rates_hz={"video": 2.0, "quick": rate_hz})
    run(videos, media_dir, tmp_path / "one", tmp_path)
    reports = run(videos, media_dir, tmp_path / "two", tmp_path)
    assert {name: report.num_new_videos for name, report in reports.items()} == {"video": 0, "quick": NUM_VIDEOS}


def test_encoders_of_no_stream_are_refused(videos: list[Video], media_dir: Path, tmp_path: Path) -> None:
    text, vocabulary = WordVectorsParams(name="word_vectors", dim=4), Vocabulary(("red",))
    built = text.build(len(vocabulary))
    save_encoders(tmp_path / "encoder", streams={}, text_params=text, text=built, tokenizer=vocabulary)
    with pytest.raises(ValueError, match="holds no encoder of a stream; run: dvc repro --force pretrain"):
        run(videos, media_dir, tmp_path / "encoder", tmp_path)


def test_one_more_video_keeps_the_others_in_their_shards(videos: list[Video]) -> None:
    def find_companions(shards: list[tuple[Video, ...]]) -> set[tuple[str, ...]]:
        return {tuple(video.video_id for video in shard if video.video_id != "new") for shard in shards} - {()}

    more = [*videos, replace(videos[0], video_id="new")]
    assert find_companions(group_videos(more, 2)) == find_companions(group_videos(videos, 2))


@pytest.mark.parametrize(("num_videos", "expected"), [(1, 1), (32, 1), (33, 2), (64, 2), (65, 4), (460, 16)])
def test_the_number_of_shards_is_a_power_of_two(num_videos: int, expected: int) -> None:
    assert count_shards(num_videos, 32) == expected


def test_a_corpus_without_videos_is_refused(media_dir: Path, encoder_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the corpus has no videos"):
        run([], media_dir, encoder_dir, tmp_path)


def test_missing_encoders_are_named_with_the_command_that_makes_them(
    videos: list[Video], media_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="no trained encoders; run: dvc repro pretrain"):
        run(videos, media_dir, tmp_path / "nothing", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("num_videos", [1, NUM_VIDEOS])  # with one video, the decoder gets two threads
def test_two_workers_give_the_bytes_of_a_single_process(
    num_videos: int, videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    run(videos[:num_videos], media_dir, encoder_dir, tmp_path / "one")
    monkeypatch.undo()
    monkeypatch.setenv("CUEPOINT_WORKERS", "2")
    run(videos[:num_videos], media_dir, encoder_dir, tmp_path / "two")
    assert hash_files(tmp_path / "one" / "features") == hash_files(tmp_path / "two" / "features")


def signal_first_worker(number: signal.Signals) -> threading.Thread:
    """Send a signal to the first worker process as soon as it exists."""

    def wait_and_send() -> None:
        while not multiprocessing.active_children():
            time.sleep(0.02)
        os.kill(multiprocessing.active_children()[0].pid or 0, number)

    thread = threading.Thread(target=wait_and_send)
    thread.start()
    return thread


@pytest.mark.fault
@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGSEGV, "ended with code -11"), (signal.SIGSTOP, "made no progress for 25 s")],
    ids=["crash", "hang"],
)
def test_a_decoder_that_crashes_or_hangs_is_named_and_finished_shards_stay(  # noqa: PLR0913 # fixtures
    number: signal.Signals,
    reason: str,
    videos: list[Video],
    media_dir: Path,
    encoder_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("CUEPOINT_WORKERS", "1")
    (tmp_path / "videos").mkdir()
    for video in videos:
        (tmp_path / video.path).symlink_to(media_dir / video.path)
    (tmp_path / videos[-1].path).unlink()
    (tmp_path / videos[-1].path).touch()
    first = group_videos(videos, 1)[0][0]
    assert first != videos[-1]
    thread = signal_first_worker(number)
    with pytest.raises(ValueError, match="2 of 6 videos cannot be used") as caught:
        run(videos, tmp_path, encoder_dir, tmp_path, per_shard=1, budget=Budget(silence_s=25.0, silence_s_per_mebibyte=0.0))
    thread.join()
    assert f"{tmp_path / first.path}: the process that read it {reason}" in str(caught.value)
    assert f"{tmp_path / videos[-1].path}: the file is empty (0 bytes)" in str(caught.value)
    finished = {
        video_id for path in (tmp_path / "cache").rglob("*.json") for video_id in json.loads(path.read_text())["num_clips"]
    }
    assert finished == {video.video_id for video in videos} - {
        video.video_id for shard in group_videos(videos, 1) for video in shard if {first, videos[-1]} & set(shard)
    }

"""The stage `extract` on a few videos drawn here."""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
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
from models.encoders import EncoderParams
from models.exchange.encoder_files import load_encoders, save_encoders
from models.text_encoders.word_vectors import WordVectorsParams
from stages import extract as stage
from stages.extract import ExtractReport, count_shards, extract, group_videos

NUM_VIDEOS = 6


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Videos are encoded in this process: starting workers takes seconds, and the slow tests do it with real ones."""

    def decode_here(function: Any, paths: Sequence[Path], *, budget: Budget | None) -> Iterator[tuple[Path, Any]]:
        return ((path, function(path, lambda share: None)) for path in paths)

    monkeypatch.setattr(stage, "decode_videos", decode_here)


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
    return Video(name, f"videos/{name}.mp4", "train", 2.0, 10.0, 20, 32, 32, 0, "h264", False, sha256_file(path))


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


def write_encoders(folder: Path, *, seed: int) -> None:
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)
    video = EncoderParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=4, norm_groups=2)
    text = WordVectorsParams(name="word_vectors", dim=4)
    vocabulary = Vocabulary(("red",))
    torch.manual_seed(seed)
    save_encoders(
        folder,
        video_params=video,
        video=video.build(),
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
) -> ExtractReport:
    """Run the stage as DVC does: with its output emptied first."""
    for path in (folder / "features").glob("*"):
        path.unlink()
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
    return {path.name: sha256_file(path) for path in folder.iterdir()}


def test_the_store_holds_every_video_as_the_encoder_sees_it(
    videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    run(videos, media_dir, encoder_dir, tmp_path)
    store, encoders = FeatureStore(tmp_path / "features"), load_encoders(encoder_dir)
    assert store.video_ids == tuple(video.video_id for video in videos)
    assert store.feature_shape == (4, 4)
    clips = np.concatenate(list(iter_clips(media_dir / videos[0].path, encoders.video.sampling, duration_s=2.0)))
    expected = encoders.video(torch.from_numpy(clips.reshape(1, -1, 16, 16, 3)))[0].numpy()
    np.testing.assert_allclose(store.load("video0"), expected, atol=2e-3)


def test_the_fingerprint_is_the_encoders_with_the_decoder_beside_it(
    videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    run(videos, media_dir, encoder_dir, tmp_path)
    fingerprint = FeatureStore(tmp_path / "features").fingerprint
    assert fingerprint.digest == load_encoders(encoder_dir).fingerprint.digest
    assert "PyAV" in fingerprint.environment["decoder"]


def test_a_second_run_makes_no_shard_and_gives_the_same_bytes(
    videos: list[Video], media_dir: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    first = run(videos, media_dir, encoder_dir, tmp_path)
    written = hash_files(tmp_path / "features")
    second = run(videos, media_dir, encoder_dir, tmp_path)
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
    assert run(videos, media_dir, encoder_dir, tmp_path).num_new_videos == num_videos
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
    assert run(videos, media_dir, tmp_path / "other", tmp_path).num_new_videos == NUM_VIDEOS


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
@pytest.mark.parametrize("num_videos", [1, NUM_VIDEOS])  # one: then the decoder gets two threads
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
    """Send a signal to the first worker process as soon as there is one."""

    def wait_and_send() -> None:
        while not multiprocessing.active_children():
            time.sleep(0.02)
        os.kill(multiprocessing.active_children()[0].pid or 0, number)

    thread = threading.Thread(target=wait_and_send)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGSEGV, "ended with code -11"), (signal.SIGSTOP, "said nothing for 25 s")],
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

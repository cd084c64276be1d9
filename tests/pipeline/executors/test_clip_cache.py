"""Cache of decoded clips: equal bytes from any number of workers, each made once, and errors of undecodable videos."""

from pathlib import Path

import av
import numpy as np
import pytest

from corpus.files import sha256_file
from corpus.media import ClipSampling, iter_clips, probe
from corpus.records import Video
from pipeline.executors.clip_cache import ClipCache

SAMPLING = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)


def draw_video(folder: Path, number: int) -> Video:
    path = folder / f"v{number}.mp4"
    generator = np.random.default_rng(number)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            image = np.kron(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    info = probe(path)
    values = {name: getattr(info, name) for name in info.__slots__}
    return Video(video_id=f"v{number}", path=path.name, split="train", sha256=sha256_file(path), **values)


@pytest.fixture
def videos(tmp_path: Path) -> list[Video]:
    return [draw_video(tmp_path, number) for number in range(3)]


def fill(folder: Path, videos: list[Video], media_dir: Path) -> ClipCache:
    cache = ClipCache(folder, videos=videos, media_dir=media_dir, sampling=SAMPLING)
    cache.fill()
    return cache


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])  # with one video, two workers become two threads of one decoder
def test_the_bytes_are_the_same_with_one_and_two_workers(
    count: int, videos: list[Video], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = []
    for workers in ("1", "2"):
        monkeypatch.setenv("CUEPOINT_WORKERS", workers)
        cache = fill(tmp_path / workers, videos[:count], tmp_path)
        hashes.append({path.name: sha256_file(path) for path in cache.folder.iterdir()})
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == count


@pytest.mark.slow
def test_cached_clips_equal_the_decoded_ones_and_are_decoded_once(videos: list[Video], tmp_path: Path) -> None:
    cache = fill(tmp_path / "cache", videos, tmp_path)
    expected = np.concatenate(list(iter_clips(tmp_path / "v1.mp4", SAMPLING, duration_s=videos[1].duration_s)))
    assert cache.count_clips("v1") == len(expected) == 4
    np.testing.assert_array_equal(cache.load("v1", np.array([3, 0])), expected[[3, 0]])
    for video in videos:
        (tmp_path / video.path).unlink()
    fill(tmp_path / "cache", videos, tmp_path)


@pytest.mark.slow
def test_a_truncated_file_is_made_again(videos: list[Video], tmp_path: Path) -> None:
    cache = fill(tmp_path / "cache", videos[:1], tmp_path)
    (path,) = cache.folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    fill(tmp_path / "cache", videos[:1], tmp_path)
    assert path.read_bytes() == content


@pytest.mark.slow
def test_a_video_that_cannot_be_decoded_is_named_when_the_others_are_there(videos: list[Video], tmp_path: Path) -> None:
    (tmp_path / "v0.mp4").write_bytes((tmp_path / "v0.mp4").read_bytes()[:300])
    with pytest.raises(ValueError, match=r"1 of 3 videos cannot be used:\n.*v0.mp4: it cannot be decoded"):
        fill(tmp_path / "cache", videos, tmp_path)
    assert {path.stem for path in (tmp_path / "cache").rglob("*.npy")} == {video.sha256 for video in videos[1:]}

"""Playable forms: a file that browsers play is unchanged, and any other gets a form with the same clock."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from corpus.media import UndecodableError, probe, read_frames
from serving.library.playable import Form, find_form, write_playable

FORMATS = {  # container, video, pixels, sound -> form
    ("mp4", "libx264", "yuv420p", "aac"): "as_is",
    ("mov", "libx264", "yuv420p", None): "as_is",
    ("webm", "libvpx-vp9", "yuv420p", "libopus"): "as_is",
    ("matroska", "libx264", "yuv420p", "aac"): "copied",
    ("flv", "libx264", "yuv420p", "aac"): "copied",
    ("mp4", "libx264", "yuv444p", None): "encoded",
    ("mp4", "mpeg4", "yuv420p", None): "encoded",
    ("avi", "mpeg4", "yuv420p", "libmp3lame"): "encoded",
    ("mpegts", "libx264", "yuv420p", "aac"): "encoded",
}


def write_video(path: Path, container: str, video: str, pixels: str, sound: str | None, *, start_s: float = 0.0) -> Path:
    """Write 2 s of pictures that grow brighter, and a tone."""
    with av.open(str(path), "w", format=container) as output:
        stream: Any = output.add_stream(video, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        audio: Any = output.add_stream(sound, rate=48000) if sound else None
        if audio:
            audio.layout = "mono"
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + round(25 * start_s), Fraction(1, 25)
            output.mux(stream.encode(frame))
            if audio:
                tone = np.zeros((1, 1920), np.float32)
                samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                samples.sample_rate, samples.pts = 48000, 1920 * number
                resampler = av.AudioResampler(format=audio.codec_context.format, layout="mono", rate=48000)
                for one in resampler.resample(samples):
                    output.mux(audio.encode(one))
        output.mux(stream.encode())
        if audio:
            output.mux(audio.encode())
    return path


@pytest.mark.parametrize("parts", FORMATS, ids=lambda parts: "-".join(map(str, parts)))
def test_the_form_shows_the_same_pictures_at_the_same_times(parts: Any, tmp_path: Path) -> None:
    path = write_video(tmp_path / "video", *parts)
    form = find_form(path)
    assert form.how == FORMATS[parts]
    if form.how == "as_is":
        return
    shares: list[float] = []
    write_playable(path, tmp_path / "form.mp4", form, report=shares.append)
    assert find_form(tmp_path / "form.mp4") == Form("as_is", "video/mp4")
    assert shares == sorted(shares)
    assert 0.9 < shares[-1] <= 1
    info, expected = probe(tmp_path / "form.mp4"), probe(path)
    assert info.duration_s == pytest.approx(expected.duration_s, abs=0.1)
    assert (info.width, info.height, info.has_audio) == (expected.width, expected.height, expected.has_audio)
    times_s = np.arange(0.1, 1.9, 0.3)
    shown, wanted = (read_frames(one, times_s, 8).mean(axis=(1, 2, 3)) for one in (tmp_path / "form.mp4", path))
    np.testing.assert_allclose(shown, wanted, atol=6)  # a frame is 5 brighter than the one before


def test_a_file_that_starts_late_keeps_its_clock(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video", "matroska", "libx264", "yuv444p", "aac", start_s=1.0)
    write_playable(path, tmp_path / "form.mp4", find_form(path), report=lambda _: None)
    times_s = np.array([1.5, 2.5])
    shown, wanted = (read_frames(one, times_s, 8).mean(axis=(1, 2, 3)) for one in (tmp_path / "form.mp4", path))
    np.testing.assert_allclose(shown, wanted, atol=6)


def test_large_frames_are_made_smaller_and_sides_even(tmp_path: Path) -> None:
    path = tmp_path / "video"
    with av.open(str(path), "w", format="avi") as output:
        stream: Any = output.add_stream("mjpeg", rate=5)
        stream.width, stream.height, stream.pix_fmt = 2571, 33, "yuvj420p"
        for number in range(3):
            frame = av.VideoFrame(2571, 33, "yuvj420p")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    write_playable(path, tmp_path / "form.mp4", find_form(path), report=lambda _: None)
    info = probe(tmp_path / "form.mp4")
    assert (info.width, info.height) == (1280, 16)


def test_a_file_that_is_not_a_video_has_no_form(tmp_path: Path) -> None:
    path = tmp_path / "video"
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    with pytest.raises(UndecodableError):
        find_form(path)
    with pytest.raises(UndecodableError):
        write_playable(path, tmp_path / "form.mp4", Form("encoded", "video/mp4"), report=lambda _: None)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turned_pictures_are_encoded_upright(turn: int, shared_dir: Path, tmp_path: Path) -> None:
    path = shared_dir / "real" / "odd" / f"video_{turn}.mov"
    write_playable(path, tmp_path / "form.mp4", Form("encoded", "video/mp4"), report=lambda _: None)
    info, expected = probe(tmp_path / "form.mp4"), probe(path)
    assert (info.rotation, info.width, info.height) == (0, expected.width, expected.height)
    shown, wanted = (read_frames(one, np.zeros(1), 320)[0].reshape(20, 16, 20, 16, 3) for one in (tmp_path / "form.mp4", path))
    assert np.abs(shown.mean(axis=(1, 3)) - wanted.mean(axis=(1, 3))).mean() < 4


def test_a_real_avi_file_becomes_playable(shared_dir: Path, tmp_path: Path) -> None:
    path = shared_dir / "real" / "odd" / "avi_container.avi"
    assert find_form(path).how == "encoded"
    write_playable(path, tmp_path / "form.mp4", find_form(path), report=lambda _: None)
    assert probe(tmp_path / "form.mp4").duration_s == pytest.approx(probe(path).duration_s, abs=0.1)


def write_live(path: Path, codec: str, *, container: str = "webm") -> Path:
    """Write 1 s like a recorder that does not know the length yet."""
    with av.open(str(path), "w", format=container, options={"live": "1"}) as output:
        stream: Any = output.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


@pytest.mark.parametrize(("codec", "how"), [("libvpx-vp9", "copied"), ("libvpx", "encoded")])
def test_a_recording_without_a_length_gets_a_form_with_one(codec: str, how: str, tmp_path: Path) -> None:
    path = write_live(tmp_path / "a.webm", codec)
    assert find_form(path).how == how
    write_playable(path, tmp_path / "form.mp4", find_form(path), report=lambda _: None)
    assert find_form(tmp_path / "form.mp4").how == "as_is"
    with av.open(str(tmp_path / "form.mp4")) as container:
        assert container.duration == pytest.approx(1_000_000, abs=50_000)


def test_packets_that_cannot_be_copied_are_encoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video", "matroska", "libvpx", "yuv420p", "libopus")
    write_playable(path, tmp_path / "form.mp4", Form("copied", "video/mp4"), report=lambda _: None)
    assert find_form(tmp_path / "form.mp4").how == "as_is"
    assert probe(tmp_path / "form.mp4").codec == "h264"

"""The sound of a playable form follows its timestamps, sample for sample, and lasts exactly as long as the pictures."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from serving.library.conversion.sound import SoundWriter

RATE_HZ = 48000


def make_frame(
    value: float, length_s: float, *, rate_hz: int = RATE_HZ, layout: str = "stereo", kind: str = "fltp"
) -> AudioFrame:
    num_channels = av.AudioLayout(layout).nb_channels
    samples = np.full((num_channels, round(length_s * rate_hz)), value, dtype=np.float32)
    if kind == "s16":
        samples = np.rint(32767 * samples).astype(np.int16).T.reshape(1, -1)
    frame = AudioFrame.from_ndarray(samples, format=kind, layout=layout)
    frame.sample_rate = rate_hz
    return frame


def write(path: Path, frames: list[tuple[AudioFrame, float | None]], *, length_s: float) -> NDArray[np.float32]:
    """Write frames at times and return the mean of the samples of each 10 ms: (N,)."""
    with av.open(str(path), "w", format="mp4") as output:
        writer = SoundWriter(output, length_s=length_s)
        for frame, start_s in frames:
            writer.write(frame, start_s)
        writer.close()
    with av.open(str(path)) as container:
        decoded = [(frame.pts * frame.time_base, frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
    assert decoded[0][0] == 0
    samples = np.concatenate([values for _, values in decoded])[: round(length_s * RATE_HZ)]
    return samples[: len(samples) // 480 * 480].reshape(-1, 480).mean(axis=1)


def expect(*parts: tuple[float, float]) -> NDArray[np.float64]:
    """Return consecutive (value, seconds) parts as one value each 10 ms."""
    return np.concatenate([np.full(round(100 * seconds), value) for value, seconds in parts])


def require_close(found: NDArray[np.float32], expected: NDArray[np.float64]) -> None:
    """Compare except within 30 ms of every step, because AAC smears steps."""
    assert len(found) == len(expected)
    is_step = np.abs(np.diff(expected, prepend=0.0, append=0.0)) > 0
    near = np.convolve(is_step, np.ones(7), mode="same")[: len(expected)] > 0
    np.testing.assert_allclose(found[~near], expected[~near], atol=0.02)


def test_sound_that_starts_late_ends_early_and_has_a_gap(tmp_path: Path) -> None:
    frames = [(make_frame(0.3, 0.2), 0.5), (make_frame(0.3, 0.2), 0.7), (make_frame(-0.3, 0.2), 1.4)]
    found = write(tmp_path / "a.mp4", frames, length_s=2.0)
    require_close(found, expect((0, 0.5), (0.3, 0.4), (0, 0.5), (-0.3, 0.2), (0, 0.4)))


def test_sound_before_time_0_and_overlaps_are_left_out(tmp_path: Path) -> None:
    frames = [(make_frame(0.3, 0.6), -0.2), (make_frame(-0.3, 0.6), 0.2), (make_frame(0.2, 0.4), 0.8)]
    found = write(tmp_path / "a.mp4", frames, length_s=1.2)
    require_close(found, expect((0.3, 0.4), (-0.3, 0.4), (0.2, 0.4)))


@pytest.mark.parametrize("wrong_s", [90.0, 3000.0, 0.0, -5.0])
def test_one_frame_with_a_wrong_time_moves_nothing(wrong_s: float, tmp_path: Path) -> None:
    frames: list[tuple[AudioFrame, float | None]] = [(make_frame(0.3, 0.1), number / 10) for number in range(20)]
    frames[8] = (make_frame(0.3, 0.1), wrong_s)
    require_close(write(tmp_path / "a.mp4", frames, length_s=2.0), expect((0.3, 0.8), (0, 0.1), (0.3, 1.1)))


def test_a_frame_within_written_sound_is_left_out(tmp_path: Path) -> None:
    frames = [(make_frame(0.3, 0.6), 0.0), (make_frame(-0.3, 0.2), 0.1), (make_frame(0.2, 0.4), 0.6)]
    require_close(write(tmp_path / "a.mp4", frames, length_s=1.0), expect((0.3, 0.6), (0.2, 0.4)))


@pytest.mark.parametrize("start_s", [None, 0.0])
def test_frames_without_times_follow_one_another(start_s: float | None, tmp_path: Path) -> None:
    frames = [(make_frame(value, 0.3), start_s) for value in (0.3, -0.3, 0.2)]
    require_close(write(tmp_path / "a.mp4", frames, length_s=0.9), expect((0.3, 0.3), (-0.3, 0.3), (0.2, 0.3)))


def test_rate_channels_and_format_may_change(tmp_path: Path) -> None:
    frames: list[tuple[AudioFrame, float | None]] = [
        (make_frame(0.3, 0.5), 0.0),
        (make_frame(-0.3, 0.5, rate_hz=44100, kind="s16"), 0.5),
        (make_frame(0.25, 0.5, rate_hz=16000, layout="mono"), 1.0),
        (make_frame(-0.2, 0.5, rate_hz=22050), 1.5),
    ]
    require_close(
        write(tmp_path / "a.mp4", frames, length_s=2.0), expect((0.3, 0.5), (-0.3, 0.5), (0.25 * np.sqrt(0.5), 0.5), (-0.2, 0.5))
    )


def test_rounded_timestamps_cause_no_gaps(tmp_path: Path) -> None:
    times_s = np.round(np.arange(40) * 0.0232, 2)
    frames: list[tuple[AudioFrame, float | None]] = [(make_frame(0.3, 0.0232), time_s) for time_s in times_s.tolist()]
    require_close(write(tmp_path / "a.mp4", frames, length_s=0.9), expect((0.3, 0.9)))


def test_a_clock_that_runs_differently_is_followed_within_the_tolerance(tmp_path: Path) -> None:
    frames: list[tuple[AudioFrame, float | None]] = [(make_frame(0.0, 0.02), 0.0202 * number) for number in range(250)]
    frames.append((make_frame(0.3, 0.2), 0.0202 * 250))
    found = write(tmp_path / "a.mp4", frames, length_s=5.4)
    assert np.flatnonzero(found > 0.15)[0] / 100 == pytest.approx(0.0202 * 250, abs=0.03)


def test_sound_after_the_end_is_left_out_and_a_track_without_sound_is_silent(tmp_path: Path) -> None:
    assert np.abs(write(tmp_path / "a.mp4", [(make_frame(0.3, 0.5), 3.0)], length_s=1.0)).max() < 0.001
    assert np.abs(write(tmp_path / "b.mp4", [], length_s=1.0)).max() < 0.001
    with av.open(str(tmp_path / "b.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.duration * stream.time_base == Fraction(1)


def test_channels_that_cannot_be_made_stereo_leave_a_gap(tmp_path: Path) -> None:
    frames = [(make_frame(0.3, 0.4), 0.0), (make_frame(0.3, 0.4, layout="ambisonic 1"), 0.4), (make_frame(-0.3, 0.4), 0.8)]
    require_close(write(tmp_path / "a.mp4", frames, length_s=1.2), expect((0.3, 0.4), (0, 0.4), (-0.3, 0.4)))

"""Synchronisation: every beep is within 10 ms of its flash in any file; missing sound is silent and shifts nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.media import Samples, iter_sound, probe
from corpus.media.files.reading import open_media
from flashes import Recording, damage, find_rises, join_files, leave_out, move_sound, write_flashes
from flashes import find_beeps as read_beeps

pytestmark = pytest.mark.slow

RATE_HZ = 16000
IN_TIME_S = 0.01
LOUD = 0.15
MPEG2 = Recording(video="mpeg2video", sound="mp2", video_options={"g": "20", "sc_threshold": "1000000000"})
XVID = Recording(video="mpeg4", sound="pcm_s16le", video_options={})
BROADCAST = Recording(sound="ac3")
SURROUND_LOUD = 0.02  # the mean of six channels with one beeping channel


def read_sound(path: Path, rate_hz: int = RATE_HZ) -> Samples:
    """Return the whole sound of a video, which must have one."""
    blocks = iter_sound(path, rate_hz, duration_s=probe(path).duration_s)
    assert blocks is not None
    return np.concatenate(list(blocks))


def find_beeps(path: Path, *, loud: float = LOUD) -> list[float]:
    samples = read_sound(path)
    assert samples.dtype == np.float32
    assert len(samples) == round(probe(path).duration_s * RATE_HZ)
    assert np.abs(samples).max() <= 1
    return list(find_rises(np.arange(len(samples)) / RATE_HZ, np.abs(samples) > loud, 0.3))


def find_flashes(path: Path) -> list[float]:
    """Return the times of flashes in the pictures, on the clock of the clips."""
    times_s, values = [], []
    with open_media(path) as reader:
        for frame in reader.pictures():
            start_s = reader.tell(frame)
            if start_s is not None:
                times_s.append(start_s)
                values.append(float(np.asarray(frame.to_ndarray(format="gray")).mean()))
    return list(find_rises(np.array(times_s), np.array(values) > 150, 0.3))


def measure_offsets(path: Path, *, loud: float = LOUD) -> list[float]:
    """Return the delay of each beep after its flash; NaN for a flash without a beep."""
    beeps = find_beeps(path, loud=loud)
    offsets = [min((beep - flash for beep in beeps), key=abs, default=np.nan) for flash in find_flashes(path)]
    return [offset if abs(offset) < 0.4 else np.nan for offset in offsets]


PLAIN: dict[str, Recording] = {
    "aac.mp4": Recording(),
    "aac_of_16_khz.mp4": Recording(sound_rate_hz=16000, layout="mono"),
    "fragmented.mp4": Recording(muxer={"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "aac.mkv": Recording(),
    "opus.mkv": Recording(sound="libopus"),
    "opus.webm": Recording(video="libvpx", sound="libopus", video_options={}),
    "flac.mkv": Recording(sound="flac"),
    "aac.flv": Recording(sound_rate_hz=44100),
    "pcm.avi": XVID,
    "pcm.mov": replace(XVID, sound="pcm_s24le"),
    "bytes.avi": replace(XVID, sound="pcm_u8", sound_rate_hz=11025),
    "long_numbers.nut": replace(XVID, sound="pcm_s64le"),
    "floats.mkv": replace(XVID, sound="pcm_f64le"),
    "ac3.ts": BROADCAST,
    "aac.ts": Recording(),
    "late_clock.ts": replace(BROADCAST, start_s=3002.0),
    "disc.vob": replace(MPEG2, start_s=0.5),
    "surround.ts": replace(BROADCAST, layout="5.1"),
    "surround.mp4": Recording(layout="5.1"),
    "windows.wmv": Recording(video="wmv2", sound="wmav2", sound_rate_hz=44100, video_options={}),
    "late_pictures.mkv": Recording(change_picture=leave_out(0, 1.0)),
    "late_pictures.mp4": Recording(change_picture=leave_out(0, 1.0)),
    "late_pictures.ts": replace(BROADCAST, change_picture=leave_out(0, 1.0)),
    "between_key_frames.ts": replace(BROADCAST, start_s=3002.0, change_picture=leave_out(0, 0.7, 3002.0)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_sound_is_heard_at_its_pictures(name: str, tmp_path: Path) -> None:
    path = write_flashes(tmp_path / name, PLAIN[name])
    offsets = measure_offsets(path, loud=SURROUND_LOUD if PLAIN[name].layout == "5.1" else LOUD)
    assert len(offsets) >= 5
    assert np.abs(offsets).max() < IN_TIME_S


def test_mp3_in_avi_is_heard_when_its_packets_say(tmp_path: Path) -> None:
    path = write_flashes(tmp_path / "mp3.avi", replace(XVID, sound="libmp3lame", sound_rate_hz=44100))
    np.testing.assert_allclose(find_beeps(path), read_beeps(path), atol=IN_TIME_S)  # AVI rounds times to whole pictures


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_sound_that_starts_after_the_first_picture_is_silent_before(name: str, tmp_path: Path) -> None:
    recording = BROADCAST if name.endswith("ts") else Recording()
    path = write_flashes(tmp_path / name, replace(recording, change_sound=leave_out(0, 1.2)))
    offsets = measure_offsets(path)
    assert np.isnan(offsets[0])
    assert np.abs(offsets[1:]).max() < IN_TIME_S
    assert np.abs(read_sound(path)[: round(1.1 * RATE_HZ)]).max() < 0.01


@pytest.mark.parametrize("name", ["hole.ts", "hole.mkv", "hole.mp4", "hole.flv"])
def test_a_hole_in_the_sound_is_silent_and_moves_nothing(name: str, tmp_path: Path) -> None:
    recording = BROADCAST if name.endswith("ts") else Recording(sound_rate_hz=44100)
    offsets = measure_offsets(write_flashes(tmp_path / name, replace(recording, change_sound=leave_out(2.2, 2.9))))
    assert np.isnan(offsets[2])
    assert np.abs([*offsets[:2], *offsets[3:]]).max() < IN_TIME_S


@pytest.mark.parametrize("name", ["damaged.mp4", "damaged.mkv"])
def test_damaged_packets_are_silent_and_move_nothing(name: str, tmp_path: Path) -> None:
    offsets = measure_offsets(write_flashes(tmp_path / name, Recording(change_sound=damage(2.2, 2.9))))
    assert np.isnan(offsets[2])
    assert np.abs([*offsets[:2], *offsets[3:]]).max() < IN_TIME_S


@pytest.mark.parametrize("name", ["moved.mkv", "moved.ts"])
def test_sound_lies_where_its_timestamps_say(name: str, tmp_path: Path) -> None:
    recording = BROADCAST if name.endswith("ts") else Recording()
    path = write_flashes(tmp_path / name, replace(recording, change_sound=move_sound(0.3, 3.0)))
    expected = np.array([0.5, 1.5, 2.5, 3.8, 4.8, 5.8]) + find_flashes(path)[0] - 0.5
    np.testing.assert_allclose(find_beeps(path), expected, atol=IN_TIME_S)


@pytest.mark.parametrize("step_s", [0.007, 0.015, 0.03])
def test_small_steps_of_the_clock_do_not_add_up(step_s: float, tmp_path: Path) -> None:
    recording = Recording(sound="flac")
    for from_s in (1.0, 2.0, 3.0, 4.0, 5.0):  # so that the last beep is five steps late
        recording = replace(recording, change_sound=chain(recording.change_sound, move_sound(step_s, from_s)))
    path = write_flashes(tmp_path / "steps.mkv", recording)
    np.testing.assert_allclose(measure_offsets(path), step_s * np.arange(6), atol=IN_TIME_S)


def chain(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda packet: second(first(packet))


JOINS: dict[str, tuple[str, list[Recording]]] = {
    "restarting clock": ("ts", [BROADCAST, BROADCAST]),
    "stereo, then surround": ("ts", [BROADCAST, replace(BROADCAST, layout="5.1", start_s=6.0)]),
    "another rate": ("ts", [replace(BROADCAST, sound_rate_hz=rate_hz) for rate_hz in (48000, 32000, 44100)]),
    "leaping clock": ("ts", [BROADCAST, replace(BROADCAST, start_s=900.0)]),
    "cells of a disc": ("vob", [MPEG2, replace(MPEG2, start_s=40.0), MPEG2]),
}


@pytest.mark.parametrize("name", JOINS)
def test_joined_parts_follow_one_another_in_time(name: str, tmp_path: Path) -> None:
    suffix, recordings = JOINS[name]
    parts = [write_flashes(tmp_path / f"{number}.{suffix}", one) for number, one in enumerate(recordings)]
    path = join_files(tmp_path / f"joined.{suffix}", parts)
    offsets = measure_offsets(path, loud=SURROUND_LOUD if "surround" in name else LOUD)
    assert len(offsets) == 6 * len(parts)
    assert np.abs(offsets).max() < IN_TIME_S

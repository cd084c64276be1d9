"""Pictures and sound of playable forms are in sync within 40 ms for every kind of file, and nothing is lost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.media import probe, read_frames
from flashes import (
    RATE,
    Recording,
    damage,
    find_beeps,
    find_flashes,
    join_files,
    leave_out,
    measure_offsets,
    move_sound,
    write_flashes,
)
from serving.library.playable import Form, find_form, write_playable

pytestmark = pytest.mark.slow

IN_SYNC_S = 0.04
MPEG2 = Recording(video="mpeg2video", sound="mp2", video_options={"g": "20", "sc_threshold": "1000000000"})
XVID = Recording(video="mpeg4", sound="pcm_s16le", video_options={})
BROADCAST = Recording(sound="ac3")


PLAIN: dict[str, Recording] = {
    "video.mp4": Recording(),
    "resampled.mkv": Recording(sound_rate_hz=44100, layout="mono", pixels="yuv444p"),
    "copied.mkv": Recording(),
    "copied.flv": Recording(sound_rate_hz=44100),
    "xvid.avi": XVID,
    "broadcast.ts": BROADCAST,
    "late_clock.ts": replace(BROADCAST, start_s=3002.0),
    "disc.vob": replace(MPEG2, start_s=0.5),
    "disc.mpg": MPEG2,
    "surround.ts": replace(BROADCAST, layout="5.1"),
    "windows.wmv": Recording(video="wmv2", sound="wmav2", sound_rate_hz=44100, video_options={}),
    "late_sound.ts": replace(BROADCAST, change_sound=leave_out(0, 1.2)),
    "late_sound.mkv": Recording(change_sound=leave_out(0, 1.2)),
    "late_pictures.mkv": Recording(change_picture=leave_out(0, 1.0)),
    "between_key_frames.ts": replace(BROADCAST, start_s=3002.0, change_picture=leave_out(0, 0.7, 3002.0)),
    "between_key_frames.mpg": replace(MPEG2, change_picture=leave_out(0, 0.7)),
}
MISSING_BEEP: dict[str, Recording] = {  # only the beep at 2.5 s is missing
    "gap.ts": replace(BROADCAST, change_sound=leave_out(2.2, 2.9)),
    "gap.mkv": Recording(change_sound=leave_out(2.2, 2.9)),
    "gap.mp4": Recording(video="mpeg4", video_options={}, change_sound=leave_out(2.2, 2.9)),
    "damaged.mp4": Recording(change_sound=damage(2.2, 2.9)),
    "damaged.mkv": Recording(pixels="yuv444p", change_sound=damage(2.2, 2.9)),
}


def convert(path: Path) -> Path:
    """Write the form of a file like the service, if it needs one."""
    form = find_form(path)
    if form.how == "as_is":
        return path
    target = path.with_name(f"{path.name}.form.mp4")
    write_playable(path, target, form, report=lambda _: None)
    assert find_form(target) == Form("as_is", "video/mp4")
    return target


def require_whole(path: Path, form: Path) -> None:
    """Require the length of the index, and the frames of the index at its times."""
    length_s = probe(path).duration_s
    assert probe(form).duration_s == pytest.approx(length_s, abs=1 / RATE)
    times_s = np.arange(0.02, length_s, 0.21)
    shown, expected = (read_frames(one, times_s, 8).mean(axis=(1, 2, 3)) for one in (form, path))
    assert np.abs(shown - expected).max() < 12


@pytest.mark.parametrize("name", PLAIN)
def test_sound_is_in_sync(name: str, tmp_path: Path) -> None:
    path = write_flashes(tmp_path / name, PLAIN[name])
    form = convert(path)
    require_whole(path, form)
    offsets = np.array(measure_offsets(form))
    assert len(offsets) >= 5
    assert np.abs(offsets[1 if name.startswith("late_sound") else 0 :]).max() < IN_SYNC_S


@pytest.mark.parametrize("name", MISSING_BEEP)
def test_a_gap_in_the_sound_is_silent_and_moves_nothing(name: str, tmp_path: Path) -> None:
    path = write_flashes(tmp_path / name, MISSING_BEEP[name])
    form = convert(path)
    require_whole(path, form)
    offsets = measure_offsets(form)
    assert np.isnan(offsets[2])
    assert np.abs([*offsets[:2], *offsets[3:]]).max() < IN_SYNC_S


@pytest.mark.parametrize("name", ["moved.mkv", "moved.ts"])
def test_sound_follows_its_timestamps(name: str, tmp_path: Path) -> None:
    recording = Recording(pixels="yuv444p") if name.endswith("mkv") else BROADCAST
    path = write_flashes(tmp_path / name, replace(recording, change_sound=move_sound(0.3, 3.0)))
    np.testing.assert_allclose(find_beeps(convert(path)), [0.5, 1.5, 2.5, 3.8, 4.8, 5.8], atol=IN_SYNC_S)


JOINS: dict[str, tuple[str, list[Recording]]] = {
    "restarting clock": ("ts", [BROADCAST, BROADCAST]),
    "stereo, then surround": ("ts", [BROADCAST, replace(BROADCAST, layout="5.1", start_s=6.0)]),
    "another rate": ("ts", [replace(BROADCAST, sound_rate_hz=rate_hz) for rate_hz in (48000, 32000, 44100)]),
    "surround after a restart": ("ts", [BROADCAST, replace(BROADCAST, layout="5.1"), BROADCAST]),
    "leaping clock": ("ts", [BROADCAST, replace(BROADCAST, start_s=900.0)]),
    "cells of a disc": ("vob", [MPEG2, replace(MPEG2, start_s=40.0), MPEG2]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", JOINS)
def test_joined_parts_follow_one_another_in_sync(name: str, tmp_path: Path) -> None:
    suffix, recordings = JOINS[name]
    parts = [write_flashes(tmp_path / f"{number}.{suffix}", one) for number, one in enumerate(recordings)]
    path = join_files(tmp_path / f"joined.{suffix}", parts)
    form = convert(path)
    require_whole(path, form)
    offsets = measure_offsets(form)
    assert len(offsets) == 6 * len(parts)
    assert np.abs(offsets).max() < IN_SYNC_S
    assert probe(form).duration_s == pytest.approx(6.0 * len(parts), abs=0.1 * len(parts))


@pytest.mark.parametrize("change", [damage(0, 9), leave_out(0.2, 9)], ids=["damaged throughout", "a fifth of a second"])
def test_sound_that_cannot_be_decoded_or_ends_is_silence_to_the_end(change: Callable[[Any], Any], tmp_path: Path) -> None:
    path = write_flashes(tmp_path / "video.mp4", Recording(video="mpeg4", video_options={}, change_sound=change))
    form = convert(path)
    require_whole(path, form)
    assert find_beeps(form) == []
    assert len(find_flashes(form)) == 6

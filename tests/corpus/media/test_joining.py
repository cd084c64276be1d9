"""Joining of clocks that restart or leap, on hand-written packets."""

import numpy as np
import pytest

from corpus.media.files.joining import join_parts, shift_track
from corpus.media.files.packets import Seconds, Track

PICTURES_HZ, SOUND_HZ = 10, 20
LEAD_S = 0.05  # lead of the sound before the pictures


def build_track(starts_s: Seconds, places: Seconds, *, rate_hz: int, gop: int = 10) -> Track:
    """Build the packets of a stream whose pictures are decoded in display order."""
    count = len(starts_s)
    is_key = np.arange(count) % gop == 0
    lengths_s = np.full(count, 1 / rate_hz)
    return Track(places.astype(np.int64), starts_s, starts_s.copy(), lengths_s, is_key, np.ones(count, dtype=bool))


def count_up(start_s: float, length_s: float, *, rate_hz: int = PICTURES_HZ) -> Seconds:
    return start_s + np.arange(round(length_s * rate_hz)) / rate_hz


def build_pictures(*starts_s: Seconds) -> Track:
    stamps_s = np.concatenate(starts_s)
    return build_track(stamps_s, np.arange(len(stamps_s)) * 1000 / PICTURES_HZ, rate_hz=PICTURES_HZ)


def build_sound(*starts_s: Seconds, late_places: int = 0) -> Track:
    """Build sound packets that lie beside the pictures of the same time in the file, or later."""
    stamps_s = np.concatenate(starts_s)
    return build_track(stamps_s, np.arange(len(stamps_s)) * 1000 / SOUND_HZ + late_places, rate_hz=SOUND_HZ)


def build_both(*parts: tuple[float, float], late_places: int = 0) -> tuple[Track, Track]:
    """Return the pictures and the sound of parts of (start, length)."""
    pictures = build_pictures(*(count_up(start_s, length_s) for start_s, length_s in parts))
    heard = (count_up(start_s - LEAD_S, length_s, rate_hz=SOUND_HZ) for start_s, length_s in parts)
    return pictures, build_sound(*heard, late_places=late_places)


def join_pictures(video: Track, sound: Track | None = None, *, has_own_clock: bool = False) -> Seconds:
    return shift_track(video, join_parts(video, sound, has_own_clock=has_own_clock).video)


@pytest.mark.parametrize("second_s", [0.0, 3.5, 4.9, 30.0, 1e5], ids="start_{}".format)
@pytest.mark.parametrize("late_places", [0, 400])
def test_parts_follow_one_another_and_take_their_sound_along(second_s: float, late_places: int) -> None:
    video, sound = build_both((1.0, 4.0), (second_s, 4.0), late_places=late_places)
    joined = join_parts(video, sound, has_own_clock=False)
    np.testing.assert_allclose(shift_track(video, joined.video), count_up(1.0, 8.0))
    np.testing.assert_allclose(shift_track(sound, joined.sound), count_up(1.0 - LEAD_S, 8.0, rate_hz=SOUND_HZ))


def test_many_parts_follow_one_another() -> None:
    video, sound = build_both((1.0, 2.0), (900.0, 2.0), (0.0, 2.0), (0.0, 2.0), (5000.0, 2.0))
    joined = join_parts(video, sound, has_own_clock=False)
    np.testing.assert_allclose(shift_track(video, joined.video), count_up(1.0, 10.0))
    np.testing.assert_allclose(shift_track(sound, joined.sound), count_up(1.0 - LEAD_S, 10.0, rate_hz=SOUND_HZ))


def test_sound_of_two_parts_overlaps_by_a_quarter_second_at_most() -> None:
    video = build_pictures(count_up(0.0, 4.0), count_up(0.0, 4.0))
    sound = build_sound(count_up(0.0, 5.0, rate_hz=SOUND_HZ), count_up(0.0, 4.0, rate_hz=SOUND_HZ))
    joined = join_parts(video, sound, has_own_clock=False)
    assert joined.video[1].shift_s == pytest.approx(4.75)
    assert joined.sound[1].shift_s == pytest.approx(4.75)


def test_a_still_picture_under_sound_is_not_a_leap() -> None:
    starts_s = np.concatenate([count_up(0.0, 1.0), count_up(31.0, 1.0)])
    video = build_pictures(starts_s)
    sound = build_sound(count_up(0.0, 32.0, rate_hz=SOUND_HZ))
    np.testing.assert_array_equal(join_pictures(video, sound), starts_s)


@pytest.mark.parametrize(("gap_s", "is_closed"), [(9.0, False), (11.0, True)])
def test_without_sound_a_gap_of_ten_seconds_is_a_leap(gap_s: float, is_closed: bool) -> None:  # noqa: FBT001
    starts_s = np.concatenate([count_up(0.0, 2.0), count_up(2.0 + gap_s, 2.0)])
    expected_s = count_up(0.0, 4.0) if is_closed else starts_s
    np.testing.assert_allclose(join_pictures(build_pictures(starts_s)), expected_s)


def test_a_clock_of_the_file_never_leaps_but_may_restart() -> None:
    stills = np.concatenate([count_up(0.0, 1.0), count_up(3600.0, 1.0)])
    np.testing.assert_array_equal(join_pictures(build_pictures(stills), has_own_clock=True), stills)
    anew = build_pictures(count_up(0.0, 4.0), count_up(0.0, 4.0))
    np.testing.assert_allclose(join_pictures(anew, has_own_clock=True), count_up(0.0, 8.0))


@pytest.mark.parametrize("wrong_s", [1.0, 3000.0])
def test_one_picture_with_a_wrong_time_moves_no_other(wrong_s: float) -> None:
    starts_s = count_up(0.0, 8.0)
    starts_s[43] = wrong_s
    np.testing.assert_allclose(join_pictures(build_pictures(starts_s)), count_up(0.0, 8.0), atol=1e-9)


def test_small_steps_back_between_key_frames_are_estimates() -> None:
    starts_s = count_up(0.0, 8.0)
    starts_s[43:] -= 0.2
    np.testing.assert_array_equal(join_pictures(build_pictures(starts_s)), starts_s)


def test_packets_without_times_are_one_part() -> None:
    video = build_pictures(np.full(20, np.nan))
    assert len(join_parts(video, None, has_own_clock=False).video) == 1


def test_no_packets_are_one_part() -> None:
    assert len(join_parts(build_pictures(np.empty(0)), None, has_own_clock=False).video) == 1

"""Readers of media on the corpus of odd files."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.media import ClipSampling, ExaminedFile, UndecodableError, describe, examine, iter_clips, probe, read_frames
from numbered_clips import NumberedClips
from odd_media import ODD_FILES, OddFile

FILES = [pytest.param(file, id=name) for name, file in ODD_FILES.items() if not file.refused_with]
REFUSED = [pytest.param(file, id=name) for name, file in ODD_FILES.items() if file.refused_with]
SIZE_PX = 48
Write = Callable[[OddFile], Path]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_the_facts_of_an_odd_file_are_found(file: OddFile, write_odd: Write) -> None:
    found = examine(write_odd(file))
    assert found.duration_s == pytest.approx(file.duration_s, abs=file.tolerance_s)
    assert (found.num_frames, found.has_audio) == (file.num_frames, file.has_sound)
    assert (found.audio_codec is None, found.audio_rate_hz is None) == (not file.has_sound, not file.has_sound)
    assert (found.num_damaged, found.num_damaged_audio) == (file.num_damaged, file.num_damaged_audio)
    assert len(found.notes) == len(file.notes), found.notes
    for note, pattern in zip(found.notes, file.notes, strict=True):
        assert re.search(pattern, note)


@pytest.mark.parametrize("file", FILES)
def test_every_picture_of_an_odd_file_is_found_at_its_time(file: OddFile, write_odd: Write) -> None:
    path = write_odd(file)
    ends_s = [*file.starts_s[1:], file.duration_s]
    times_s = np.array([(start_s + end_s) / 2 for start_s, end_s in zip(file.starts_s, ends_s, strict=True)])
    found = NumberedClips.read(read_frames(path, times_s, SIZE_PX))
    differences = np.abs(np.subtract(found, file.numbers))
    assert differences.max() <= file.slack
    assert (differences > 0).sum() <= 12 * file.slack
    few = slice(len(times_s) % 7, None, 7)
    assert NumberedClips.read(read_frames(path, times_s[few], SIZE_PX, num_threads=2)) == found[few]
    for place in range(len(times_s) - 1, 0, -max(1, len(times_s) // 3)):  # one by one, like the pictures of the page
        assert NumberedClips.read(read_frames(path, times_s[place : place + 1], SIZE_PX)) == [found[place]]


@pytest.mark.parametrize("file", FILES)
def test_clips_of_an_odd_file_equal_its_frames(file: OddFile, write_odd: Write) -> None:
    path, sampling = write_odd(file), ClipSampling(clip_rate_hz=2.0, offsets_s=(0.0,), size_px=SIZE_PX)
    duration_s = probe(path).duration_s
    clips = np.concatenate(list(iter_clips(path, sampling, duration_s=duration_s)))[:, 0]  # (S, H, W, 3)
    times_s = (np.arange(len(clips)) + 0.5) / sampling.clip_rate_hz
    np.testing.assert_array_equal(clips, read_frames(path, np.minimum(times_s, np.nextafter(duration_s, 0)), SIZE_PX))
    place = int(np.searchsorted(file.starts_s, times_s[-1], side="right")) - 1
    assert NumberedClips.read(clips[-1:])[0] in list(file.numbers)[max(0, place - 1) : place + 2]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.slow
def test_clips_and_facts_are_the_same_in_the_pass_that_examines_a_file(file: OddFile, write_odd: Write) -> None:
    path, sampling = write_odd(file), ClipSampling(clip_rate_hz=4.0, offsets_s=(-0.1, 0.2), size_px=SIZE_PX)
    examined = ExaminedFile(path)
    read = partial(iter_clips, path, sampling, duration_s=examined.info.duration_s, clips_per_batch=4)
    clips = np.concatenate(list(read()))
    np.testing.assert_array_equal(np.concatenate(list(read(display=examined.iter_displayed))), clips)
    assert examined.info == examine(path)
    if len(clips) > 4:
        for display in (None, ExaminedFile(path).iter_displayed):
            np.testing.assert_array_equal(np.concatenate(list(read(first_clip=4, display=display))), clips[4:])
    assert list(read(first_clip=len(clips), display=examined.iter_displayed)) == []


@pytest.mark.parametrize("file", REFUSED)
def test_a_refused_file_is_refused_in_the_pass_that_examines_it(file: OddFile, write_odd: Write) -> None:
    path, sampling = write_odd(file), ClipSampling(clip_rate_hz=2.0, offsets_s=(0.0,), size_px=SIZE_PX)
    with pytest.raises(UndecodableError) as expected:
        examine(path)
    with pytest.raises(UndecodableError, match=re.escape(expected.value.reason)):
        list(iter_clips(path, sampling, duration_s=1.0, display=ExaminedFile(path).iter_displayed))


@pytest.mark.parametrize("file", FILES)
def test_the_description_of_an_odd_file_states_the_probed_facts(file: OddFile, write_odd: Write) -> None:
    path = write_odd(file)
    found = describe(path, info=examine(path))
    assert len(found.get("notes", [])) == len(file.notes)
    if any("header claims" in note for note in file.notes):
        assert float(found["format"]["duration"]) == pytest.approx(file.duration_s, abs=file.tolerance_s)


@pytest.mark.parametrize("file", REFUSED)
def test_an_odd_file_that_is_refused_says_why(file: OddFile, write_odd: Write) -> None:
    path = write_odd(file)
    with pytest.raises(UndecodableError, match=f"{file.name}: .*{file.refused_with}"):
        examine(path)


CASES: dict[str, tuple[float, int]] = {  # seconds, frames
    "concatenated_transport_stream/clock_restarts.ts": (6.0, 60),
    "header_shorter_than_content/avi_header_20frames.avi": (8.0, 80),
    "header_shorter_than_content/mkv_header_2s.mkv": (8.0, 80),
    "metadata_not_utf8/latin1_title.mkv": (2.3, 22),
    "metadata_not_utf8/latin1_title.mp4": (2.2, 22),
    "one_bad_packet/last_packet_of_277.mp4": (27.7, 277),
    "one_bad_sound_packet/hevc_bad_audio_packet.mp4": (8.0, 80),
    "partly_fragmented_frame_count/fmp4_hybrid.mp4": (27.9, 277),
    "preview_stream_first/thumb_stream_first.mp4": (8.0, 80),
    "reconnected_flash_stream/flv_reconnect.flv": (8.2, 82),
    "repeated_frames_theora/theora.ogv": (8.0, 80),
    "repeated_frames_theora/theora_still.ogv": (4.9, 49),
    "sound_changes_its_form/stereo_to_surround.ts": (4.0, 40),
    "sound_without_decoder/apac_before_aac.mov": (2.2, 22),
    "sound_without_decoder/only_apac.mp4": (2.2, 22),
    "subtitles_longer_than_video/five_minutes_of_8_s.mkv": (8.0, 80),
    "unfinished_avi/pipe.avi": (8.0, 80),
}


@pytest.mark.parametrize("name", CASES)
def test_a_reported_file_has_its_length(shared_dir: Path, name: str) -> None:
    path = shared_dir / "cases" / name
    if not path.is_file():
        pytest.skip("the folder of cases is absent on this machine")
    found: Any = examine(path)
    assert (found.duration_s, found.num_frames) == (pytest.approx(CASES[name][0], abs=0.2), CASES[name][1])

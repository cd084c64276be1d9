"""Probing of files: claims of the header, counted facts, and refusals with a reason."""

import json
import math
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from corpus.media import MediaInfo, UndecodableError, check_decodable, decoder_version, describe, examine, probe
from corpus.media.probing import compute_rate
from flashes import Recording, write_flashes


def test_probe_tells_the_facts_of_a_file(clips: Any) -> None:
    found = probe(clips.write(sound_s=4.0))
    assert found == MediaInfo(
        duration_s=found.duration_s,
        fps=10.0,
        num_frames=40,
        width=64,
        height=48,
        rotation=0,
        codec="h264",
        has_audio=True,
        frame_rate="10/1",
        audio_codec="aac",
        audio_rate_hz=8000,
        audio_channels=1,
    )
    assert found.duration_s == pytest.approx(4.0, abs=0.2)


def test_probe_counts_facts_missing_in_the_container(clips: Any) -> None:
    path = clips.write("raw.h264", options={"bf": "0"})
    found = probe(path)
    assert found.num_frames == 40
    assert math.isfinite(found.duration_s)
    assert found.duration_s > 0


def test_the_facts_of_sound_are_unknown_without_sound_and_damage_until_a_file_was_decoded(clips: Any) -> None:
    path = clips.write("raw.h264", options={"bf": "0"})
    found, examined = probe(path), examine(path)
    assert (found.has_audio, found.audio_codec, found.audio_rate_hz, found.audio_channels) == (False, None, None, None)
    assert (found.num_damaged, found.num_damaged_audio) == (None, None)
    assert (examined.num_damaged, examined.num_damaged_audio) == (0, 0)


@pytest.mark.parametrize(("amplitude", "peak_db"), [(0.5, -6), (0.01, -40), (0.0, -120)])
def test_the_loudest_sample_is_found_where_the_sound_is_decoded(amplitude: float, peak_db: int, tmp_path: Path) -> None:
    path = write_flashes(tmp_path / "a.mkv", Recording(sound="flac", layout="mono", length_s=1.0, loudness=amplitude))
    assert probe(path).audio_peak_db is None
    assert examine(path).audio_peak_db == peak_db


def test_the_loudest_sample_is_unknown_without_sound(clips: Any) -> None:
    assert examine(clips.write()).audio_peak_db is None


@pytest.mark.parametrize(("num_frames", "duration_s", "rate"), [(40, 4.0, Fraction(10)), (1, 3600.0, Fraction(1, 3600))])
def test_the_frame_rate_of_a_file_without_one_is_never_zero(num_frames: int, duration_s: float, rate: Fraction) -> None:
    assert compute_rate(num_frames, duration_s) == rate


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.mp4 does not exist"):
        probe(tmp_path / "nowhere.mp4")


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("zero.mp4", r"the file is empty \(0 bytes\)"),
        ("text.mp4", "it cannot be decoded"),
        ("sound.mp4", "it holds no video stream"),
        ("cut.mp4", "it cannot be decoded"),
    ],
)
def test_a_file_that_is_not_a_video_is_refused_with_name_and_reason(clips: Any, tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name
    if name == "zero.mp4":
        path.touch()
    elif name == "text.mp4":
        path.write_text("no video")
    elif name == "sound.mp4":
        write_sound(path)
    else:
        whole = clips.write("whole.mp4").read_bytes()  # its index is at the end
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UndecodableError, match=f"{name}: {reason}"):
        probe(path)


def test_a_truncated_file_with_its_index_in_front_fails_the_check(clips: Any) -> None:
    path = clips.write("cut.mkv", starts_ms=range(0, 20000, 100))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UndecodableError, match=r"cut.mkv: its header claims \d+\.\d+ s, but the content ends after"):
        check_decodable(path)


def test_a_sound_file_passes_the_check(clips: Any) -> None:
    check_decodable(clips.write(sound_s=9.0))


def test_damage_in_the_middle_fails_the_check(clips: Any) -> None:
    path = clips.write(starts_ms=range(0, 10000, 100), options={"g": "100"}, size=(160, 120))
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(UndecodableError, match="clip.mp4: (it cannot be decoded|.* frames are damaged)"):
        check_decodable(path)


def test_an_undecodable_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(UndecodableError(Path("a.mp4"), "why")))
    assert (str(error), error.reason) == ("a.mp4: why", "why")


def test_the_decoder_names_its_versions() -> None:
    assert decoder_version().startswith(f"PyAV {av.__version__}, libavcodec ")


def test_real_files_are_read_as_published(shared_dir: Path) -> None:
    odd = shared_dir / "real" / "odd"
    assert [probe(odd / f"video_{turn}.mov").rotation for turn in (0, 90, 180, 270)] == [0, 90, 180, 270]
    assert probe(odd / "avi_container.avi").num_frames == 164
    assert probe(shared_dir / "real" / "videos" / "Y1HGC.mp4").duration_s == pytest.approx(30.72)
    with pytest.raises(UndecodableError, match="corrupted.mp4: it cannot be decoded"):
        check_decodable(odd / "corrupted.mp4")


FFPROBE = shutil.which("ffprobe")
DESCRIBED = {
    "ntsc.mp4": {"options": {"bf": "3"}, "rate": Fraction(30000, 1001), "sound_s": 2.0},
    "turned.mov": {"rotation": 90},
    "film.mkv": {"rate": Fraction(24000, 1001)},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime"}},
    "late.mp4": {"starts_ms": range(700, 3000, 100), "sound_s": 3.0},
    "mpeg4.avi": {"codec": "mpeg4"},
}


EXACT = {"filename", "nb_streams", "size", "index", "codec_name", "codec_type", "width", "height", "pix_fmt"}
EXACT |= {"sample_rate", "channels"}
CLOSE: dict[str, dict[str, float]] = {
    "start_time": {"abs": 0.04},  # a frame at 25 fps
    "duration": {"abs": 0.04},
    "nb_frames": {"abs": 1},
    "avg_frame_rate": {"rel": 0.01},
    "bit_rate": {"rel": 0.05},
}


def write_described(clips: Any, name: str) -> Path:
    values = dict(DESCRIBED[name])
    rate = values.pop("rate", None)
    if rate:
        values["starts_ms"] = [round(1000 * number / rate) for number in range(60)]
    path: Path = clips.write(name, **values, **({"rate": rate} if rate else {}))
    return path


@pytest.mark.parametrize("name", DESCRIBED)
@pytest.mark.skipif(FFPROBE is None, reason="ffprobe is not installed")
def test_the_description_is_that_of_ffprobe(clips: Any, name: str) -> None:
    require_as_ffprobe(write_described(clips, name))


@pytest.mark.skipif(FFPROBE is None, reason="ffprobe is not installed")
def test_the_description_of_real_videos_is_that_of_ffprobe(shared_dir: Path) -> None:
    for path in (*(shared_dir / "real" / "videos").iterdir(), *(shared_dir / "real" / "odd").glob("*.[ma][ov][vi]")):
        require_as_ffprobe(path)


def require_as_ffprobe(path: Path) -> None:
    command = [str(FFPROBE), "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)]
    theirs = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    ours = describe(path)
    require_close(ours["format"], theirs["format"])
    for found, expected in zip(ours["streams"], theirs["streams"], strict=True):
        require_close(found, expected)
        turns = [[side["rotation"] for side in one.get("side_data_list", []) if "rotation" in side] for one in (found, expected)]
        assert [turn % 360 for turn in turns[0]] == [turn % 360 for turn in turns[1]]


def require_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare the common facts of both programs; versions of ffprobe differ in facts and estimates."""
    for key in found.keys() & expected.keys() & EXACT:
        assert found[key] == expected[key], key
    for key, close in CLOSE.items():
        if key in found and key in expected:
            assert float(Fraction(found[key])) == pytest.approx(float(Fraction(expected[key])), **close), key
    assert set(found.get("format_name", "").split(",")) & set(expected.get("format_name", "").split(","))


def test_the_description_has_the_names_and_forms_of_ffprobe(clips: Any) -> None:
    found = describe(write_described(clips, "ntsc.mp4"))
    video, audio = found["streams"]
    assert (video["codec_type"], video["codec_name"], video["avg_frame_rate"]) == ("video", "h264", "30000/1001")
    assert (video["width"], video["height"], video["pix_fmt"], video["nb_frames"]) == (64, 48, "yuv420p", "60")
    assert (audio["codec_name"], audio["sample_rate"], audio["channels"]) == ("aac", "8000", 1)
    assert found["format"]["format_name"] == "mov,mp4,m4a,3gp,3g2,mj2"
    assert float(found["format"]["duration"]) == pytest.approx(2.0, abs=0.01)
    assert describe(write_described(clips, "turned.mov"))["streams"][0]["side_data_list"] == [{"rotation": -90}]


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25), Fraction(10)])
def test_the_frame_rate_is_exact(clips: Any, rate: Fraction) -> None:
    path = clips.write(rate=rate, starts_ms=[round(1000 * number / rate) for number in range(50)])
    found = probe(path)
    assert found.frame_rate == f"{rate.numerator}/{rate.denominator}"
    assert found.fps == float(rate)


def test_the_program_prints_json_and_names_unreadable_files(clips: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    command = [sys.executable, "-m", "cuepoint", "corpus", "probe", str(clips.write()), str(tmp_path / "empty.mp4")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(result.stdout)["streams"][0]["codec_name"] == "h264"
    assert (result.returncode, result.stderr) == (1, f"probe: error: {tmp_path / 'empty.mp4'}: the file is empty (0 bytes)\n")


def test_the_length_counts_from_the_time_that_players_call_0(clips: Any) -> None:
    late = clips.write("late.mp4", starts_ms=range(700, 3000, 100))
    assert probe(late).duration_s == pytest.approx(3.0)
    clips.set_edits(path := clips.write("delayed.mp4"), [(0.7, None), (4.0, 0.0)])
    assert probe(path).duration_s == pytest.approx(4.7)


def test_a_header_that_claims_ten_hours_is_not_believed(clips: Any) -> None:
    path = clips.write("long.mkv")
    content = path.read_bytes()
    at = content.index(b"\x44\x89\x88") + 3  # the duration, in ms, as a double
    path.write_bytes(content[:at] + struct.pack(">d", 36e6) + content[at + 8 :])
    assert probe(path).duration_s == 4.0
    assert probe(path).notes == ("its header claims 36000.00 s, but the content ends after 4.00 s",)
    check_decodable(path)


def test_an_edit_list_that_shows_nothing_for_ten_hours_is_refused(clips: Any) -> None:
    path = clips.write()
    clips.set_edits(path, [(36000.0, None), (4.0, 0.0)])
    with pytest.raises(UndecodableError, match=r"its first frame is shown only after 36000.00 s of 36004.00 s"):
        probe(path)


@pytest.mark.parametrize("name", ["vp8.webm", "png.mov"])
def test_a_header_that_claims_a_huge_picture_takes_no_memory(clips: Any, name: str) -> None:
    if name == "vp8.webm":
        path = clips.write(name, codec="libvpx", options={"deadline": "realtime"})
        mark, size = b"\x9d\x01\x2a", struct.pack("<HH", 16383, 16383)
    else:
        path = clips.write(name, codec="png", pix_fmt="rgb24")
        mark, size = b"IHDR", struct.pack(">II", 100_000, 100_000)
    content = path.read_bytes()
    at = content.index(mark) + len(mark)
    path.write_bytes(content[:at] + size + content[at + len(size) :])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UndecodableError, match=f"{name}: it cannot be decoded"):
        examine(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; such a picture takes 400 MB


def test_a_file_that_is_not_regular_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UndecodableError, match="pipe.mp4: it is not a regular file"):
        probe(tmp_path / "pipe.mp4")

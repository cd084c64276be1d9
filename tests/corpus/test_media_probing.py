"""What a file says of itself, whether it is true, and refusals that say why."""

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

from corpus.media import MediaInfo, UndecodableError, check_decodable, decoder_version, describe, probe


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


def test_probe_counts_what_a_container_does_not_say(clips: Any) -> None:
    path = clips.write("raw.h264", options={"bf": "0"})
    found = probe(path)
    assert found.num_frames == 40
    assert math.isfinite(found.duration_s)
    assert found.duration_s > 0


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
def test_what_is_no_video_is_refused_with_its_name_and_reason(clips: Any, tmp_path: Path, name: str, reason: str) -> None:
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


def test_an_undecodable_error_survives_the_way_between_processes() -> None:
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
    assert ours["format"] == {key: theirs["format"].get(key) for key in ours["format"]}
    for found, expected in zip(ours["streams"], theirs["streams"], strict=True):
        for side, other in zip(found.pop("side_data_list", []), expected.get("side_data_list", []), strict=False):
            assert side["rotation"] == other["rotation"]
        assert found == {key: expected.get(key) for key in found}


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


def test_the_program_prints_json_and_names_what_cannot_be_read(clips: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    command = [sys.executable, "-m", "corpus.media", str(clips.write()), str(tmp_path / "empty.mp4")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(result.stdout)["streams"][0]["codec_name"] == "h264"
    assert (result.returncode, result.stderr) == (1, f"error: {tmp_path / 'empty.mp4'}: the file is empty (0 bytes)\n")


def test_the_length_counts_from_the_time_that_players_call_0(clips: Any) -> None:
    late = clips.write("late.mp4", starts_ms=range(700, 3000, 100))
    assert probe(late).duration_s == pytest.approx(3.0)
    clips.set_edits(path := clips.write("delayed.mp4"), [(0.7, None), (4.0, 0.0)])
    assert probe(path).duration_s == pytest.approx(4.7)


def test_a_header_that_claims_ten_hours_fails_the_check(clips: Any) -> None:
    path = clips.write("long.mkv")
    content = path.read_bytes()
    at = content.index(b"\x44\x89\x88") + 3  # the duration, in ms, as a double
    path.write_bytes(content[:at] + struct.pack(">d", 36e6) + content[at + 8 :])
    assert probe(path).duration_s == 36000
    with pytest.raises(UndecodableError, match=r"long.mkv: its header claims 36000.00 s, but the content ends after 4.00 s"):
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
    for read in (probe, check_decodable):
        with pytest.raises(UndecodableError, match=f"{name}: it cannot be decoded"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; such a picture is 400 MB


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UndecodableError, match="pipe.mp4: it is no regular file"):
        probe(tmp_path / "pipe.mp4")

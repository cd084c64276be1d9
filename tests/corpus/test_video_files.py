"""Detection of videos by suffix or content; reports name skipped files."""

import struct
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from corpus.file_kinds import find_kind_by_content
from corpus.isolation import Budget
from corpus.video_files import PassedOver, describe_passed_over, find_kind_by_streams, sort_files

Write = Callable[..., Path]


def write_video(path: Path, *, format: str = "mp4", codec: str = "mpeg4", num_frames: int = 10) -> Path:
    """Write a small video in any format under any name."""
    pix_fmt = {"gif": "pal8", "png": "rgb24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "rgb8" if codec == "gif" else pix_fmt
        for number in range(num_frames):
            image = np.full((32, 48, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<800h", *range(800)))
    return path


def sort(*paths: Path) -> dict[str, str]:
    """Return the kind of each file, empty for a video."""
    found = sort_files(paths)
    kinds = {path.name: kind for path, kind in found.passed_over}
    return {path.name: kinds.get(path.name, "") for path in paths}


@pytest.mark.parametrize(
    ("name", "format", "codec"),
    [
        ("upper.MPEG4", "mp4", "mpeg4"),
        ("odd.xyz", "avi", "mpeg4"),
        ("none", "matroska", "mpeg4"),
        ("dots 1.5", "flv", "flv1"),
        ("stream.dat", "mpegts", "mpeg2video"),
        ("program.bin", "vob", "mpeg2video"),
        ("raw.tmp", "ivf", "vp8"),
        ("old.bak", "mov", "mjpeg"),
        ("moving.gif", "gif", "gif"),
        ("sound.ogg", "ogg", "vp8"),
    ],
)
def test_a_video_under_any_suffix_is_a_video(tmp_path: Path, name: str, format: str, codec: str) -> None:
    codec = {"vp8": "libvpx"}.get(codec, codec)
    assert sort(write_video(tmp_path / name, format=format, codec=codec)) == {name: ""}


def test_other_files_are_passed_over_with_their_kind(tmp_path: Path) -> None:
    contents = {
        "empty": b"",
        "notes": b"a dog\n",
        "latin1": "caf\u00e9 und so weiter\n".encode("latin-1"),
        "utf16": "a dog runs".encode("utf-16"),
        "program.ts": b"export const a: number = 1;\n",
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(40),
        "photo": b"\xff\xd8\xff\xe0" + bytes(40),
        "page": b"%PDF-1.7\n" + bytes(40),
        "zipped": b"PK\x03\x04" + bytes(40),
        "noise": bytes(range(256)) * 40,
        "film.mp4.part": b"x",
        "._film.mp4": b"\x00\x05\x16\x07",
        ".hidden.mp4": b"x",
        "subs.SRT": b"1\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    write_sound(tmp_path / "song")
    write_video(tmp_path / "still.gif", format="gif", codec="gif", num_frames=1)
    names = [*contents, "gone", "song", "still.gif"]
    assert sort(*(tmp_path / name for name in names)) == {
        "empty": "empty",
        "notes": "text",
        "latin1": "text",
        "utf16": "text",
        "program.ts": "text",
        "picture": "image",
        "photo": "image",
        "page": "document",
        "zipped": "archive",
        "noise": "no video",
        "film.mp4.part": "unfinished download; rename it if it is whole",
        "._film.mp4": "macOS data of another file",
        ".hidden.mp4": "hidden",
        "subs.SRT": "subtitles",
        "gone": "link to nothing",
        "song": "sound",
        "still.gif": "image",
    }


def test_a_file_with_a_video_suffix_is_left_to_probing(tmp_path: Path) -> None:
    for name in ("broken.mp4", "broken.ts"):
        (tmp_path / name).write_bytes(bytes(range(200, 256)) * 9)
    assert sort(tmp_path / "broken.mp4", tmp_path / "broken.ts", tmp_path / "missing.mkv") == dict.fromkeys(
        ("broken.mp4", "broken.ts", "missing.mkv"), ""
    )


@pytest.mark.parametrize(
    ("name", "format"),
    [("film.txt", "mp4"), ("film.jpg", "matroska"), ("film.zip", "avi"), ("film.mp3", "mpegts"), ("film.pdf", "flv")],
)
def test_a_video_with_the_suffix_of_something_else_is_a_video(tmp_path: Path, name: str, format: str) -> None:
    codec = {"flv": "flv1", "mpegts": "mpeg2video"}.get(format, "mpeg4")
    assert sort(write_video(tmp_path / name, format=format, codec=codec)) == {name: ""}


def test_streams_of_a_file_with_the_suffix_of_something_else_are_read_only_in_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_bytes(b"a dog\n")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    (tmp_path / "broken.m4a").write_bytes(b"\0\0\0\x10ftypM4A " + bytes(40))
    assert sort(tmp_path / "broken.m4a") == {"broken.m4a": "sound"}
    read: list[Path] = []
    monkeypatch.setattr("corpus.video_files.run_isolated", lambda _, paths, **__: iter(read.extend(paths) or ()))
    assert sort(tmp_path / "notes.txt", tmp_path / "photo.jpg") == {"notes.txt": "text", "photo.jpg": "image"}
    assert read == []


def test_metadata_in_another_encoding_does_not_hide_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip", format="avi")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Lavf", b"L\xe9vf"))
    assert find_kind_by_streams(path) == ""


def test_a_file_that_takes_too_long_is_passed_over_with_the_reason(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip")
    ((_, kind),) = sort_files([path], budget=Budget(silence_s=-1.0)).passed_over
    assert kind.startswith("no video: the process that read it made no progress for")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"YUV4MPEG2 W4 H4 F25:1\nFRAME\n", ""),
        (b"\0\0\0\x1cftypavif", "image"),
        (b"\0\0\0\x1cftypisom", ""),
        (b"RIFF\0\0\0\0AVI ", ""),
    ],
)
def test_first_bytes_rule_out_a_video(head: bytes, kind: str) -> None:
    assert find_kind_by_content(head) == kind


def test_passed_over_files_are_counted_and_named() -> None:
    assert describe_passed_over([]) == ""
    assert describe_passed_over([PassedOver("notes.txt", "text")]) == "passed over: 1 file that is not a video: notes.txt (text)"
    many = [PassedOver(f"{number}.txt", "text") for number in range(30)] + [PassedOver("a.jpg", "image")]
    text = describe_passed_over(many)
    assert text.startswith("passed over: 31 files that are not videos: 30 text (0.txt, 1.txt, ")
    assert text.endswith("19.txt, ... and 10 more); 1 image (a.jpg)")


def test_the_kept_examples_are_videos(shared_dir: Path) -> None:
    folder = shared_dir / "cases" / "suffixes_passed_over"
    if not folder.is_dir():
        pytest.skip("the examples ../shared/cases are absent on this machine")
    kinds = sort(*sorted(folder.iterdir()))
    assert kinds.pop("README") == "text"
    assert set(kinds.values()) == {""}

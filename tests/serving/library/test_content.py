"""Detection of file types by the first bytes."""

from pathlib import Path

import av
import pytest

from serving.library.content import HEAD_BYTES, find_container

FORMATS = {
    "mp4": "MP4 or QuickTime",
    "mov": "MP4 or QuickTime",
    "avi": "AVI",
    "matroska": "Matroska or WebM",
    "flv": "Flash video",
    "asf": "ASF",
    "mpegts": "MPEG transport stream",
    "mpeg": "MPEG program stream",
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_containers_that_ffmpeg_writes_are_known(name: str, tmp_path: Path) -> None:
    path = tmp_path / "video"
    codec = {"mpeg": "mpeg2video", "asf": "mpeg4"}.get(name, "libx264")
    with av.open(str(path), "w", format=name) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    assert find_container(path.read_bytes()[:HEAD_BYTES]) == FORMATS[name]


@pytest.mark.parametrize(
    "head",
    [b"", b"G", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"PK\x03\x04", b"\x7fELF", b"RIFF\0\0\0\0WAVE", b"<html>", b"\xff\xd8\xff"],
)
def test_other_files_are_not_containers(head: bytes) -> None:
    assert find_container(head) == ""

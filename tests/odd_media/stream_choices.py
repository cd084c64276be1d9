"""Files with several streams, streams without a decoder, and sound that changes its form."""

from functools import partial
from pathlib import Path

from av.stream import Disposition

from odd_media.expected import OddFile, show
from odd_media.surgery import join_files, replace_bytes
from odd_media.writing import Pictures, Sound, write_media

_NUMBERS = range(80)
_PREVIEW = Pictures([170], codec="mjpeg", pix_fmt="yuvj420p", options={})
_WITHOUT_DECODER = r"its sound stream \d is left out: there is no decoder for the codec 'apac'"


def _write_unknown(path: Path, *, name: bytes, unknown: bytes, num_sounds: int = 1, count: int = -1) -> None:
    write_media(path, Pictures(_NUMBERS), *[Sound(8.0) for _ in range(num_sounds)])
    replace_bytes(path, name, unknown, count=count)
    if name == b"mp4a":  # the box that names the codec again
        replace_bytes(path, b"esds", b"xxxx", count=count)


def _write_preview_first(path: Path) -> None:
    write_media(path, _PREVIEW, Pictures(_NUMBERS), Sound(8.0))


def _write_cover(path: Path) -> None:
    cover = Pictures([170], codec="mjpeg", pix_fmt="yuvj420p", options={}, disposition=Disposition.attached_pic)
    write_media(path, cover, Pictures(_NUMBERS))


def _write_two(path: Path) -> None:
    second = Pictures(range(100, 180), disposition=Disposition.default)
    write_media(path, Pictures(_NUMBERS, disposition=Disposition.dub), second)


def _write_other_form(path: Path) -> None:
    parts = [path.with_name("stereo.ts"), path.with_name("surround.ts")]
    for number, (part, layout) in enumerate(zip(parts, ("stereo", "5.1"), strict=True)):
        pictures = Pictures(range(40 * number, 40 * number + 40), options={"bf": "0", "g": "10"})
        write_media(
            part, pictures, Sound(4.0, codec="ac3", layout=layout, rate_hz=32_000), muxer={"output_ts_offset": str(4 * number)}
        )
    join_files(path, *parts)


STREAM_CHOICES = [
    show("unknown_sound.mp4", partial(_write_unknown, name=b"mp4a", unknown=b"apac"), _NUMBERS, notes=(_WITHOUT_DECODER,)),
    show(
        "unknown_sound_first.mov",
        partial(_write_unknown, name=b"mp4a", unknown=b"apac", num_sounds=2, count=1),
        _NUMBERS,
        has_sound=True,
        notes=(_WITHOUT_DECODER,),
    ),
    show(
        "unknown_sound.mkv",
        partial(_write_unknown, name=b"A_AAC", unknown=b"A_XYZ"),
        _NUMBERS,
        notes=(r"its sound stream 1 is left out: there is no decoder for the codec 'A_XYZ'",),
    ),
    OddFile(
        "camera_raw.mov", partial(_write_unknown, name=b"avc1", unknown=b"braw"), refused_with="no decoder for the codec 'braw'"
    ),
    OddFile(
        "protected.m4v", partial(_write_unknown, name=b"avc1", unknown=b"encv"), refused_with="no decoder for the codec 'encv'"
    ),
    OddFile(
        "unknown_pictures.mkv",
        partial(_write_unknown, name=b"V_MPEG4/ISO/AVC", unknown=b"V_MPEG4/ISO/XYZ"),
        refused_with="its pictures cannot be decoded: there is no decoder for the codec 'V_MPEG4/ISO/XYZ'",
    ),
    show("preview_first.mp4", _write_preview_first, _NUMBERS, has_sound=True),
    show("preview_first.mkv", _write_preview_first, _NUMBERS, has_sound=True),
    show("cover.mp4", _write_cover, _NUMBERS),
    show("second_is_default.mkv", _write_two, range(100, 180)),
    show("stereo_to_surround.ts", _write_other_form, _NUMBERS, first_s=0.008, has_sound=True),
]

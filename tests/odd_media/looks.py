"""Files whose pixels are not square, whose colours are those of HD, or which are HDR; and sound that changes its rate."""

from fractions import Fraction
from functools import partial
from pathlib import Path

from odd_media.expected import OddFile, show
from odd_media.surgery import join_files
from odd_media.writing import Pictures, Sound, write_media

_NUMBERS = range(20)
_BT709, _BT2020, _PQ, _HLG, _UNSPECIFIED = 1, 9, 16, 18, 2  # of ITU-T H.273
_X265 = {"x265-params": "log-level=none:bframes=0"}


def _look(name: str, **properties: object) -> OddFile:
    pictures = Pictures(_NUMBERS, **properties)  # type: ignore[arg-type]
    return show(name, partial(_write, pictures=pictures), _NUMBERS)


def _write(path: Path, *, pictures: Pictures) -> None:
    write_media(path, pictures)


def _write_other_rates(path: Path) -> None:
    parts = [path.with_name(f"{rate_hz}.ts") for rate_hz in (32_000, 48_000, 44_100)]
    for number, part in enumerate(parts):
        pictures = Pictures(range(20 * number, 20 * number + 20), options={"bf": "0", "g": "10"})
        sound = Sound(2.0, codec="ac3", layout="stereo", rate_hz=int(part.stem))
        write_media(part, pictures, sound, muxer={"output_ts_offset": str(2 * number)})
    join_files(path, *parts)


LOOKS = [
    _look("wide_pixels.avi", codec="mpeg4", options={}, aspect=Fraction(64, 45)),
    _look("wide_pixels.mp4", aspect=Fraction(4)),
    _look("tall_pixels.mkv", aspect=Fraction(45, 64)),
    _look("hd_without_tag.avi", codec="mpeg4", options={}, size=(1280, 64)),
    _look("hd_with_tag.mp4", codec="libx265", options=_X265, size=(1280, 64), tags=(_BT709, _BT709, _BT709)),
    _look("hdr.mp4", codec="libx265", options=_X265, pix_fmt="yuv420p10le", tags=(_BT2020, _PQ, _BT2020)),
    _look("hdr_of_broadcast.mkv", codec="libx265", options=_X265, pix_fmt="yuv420p10le", tags=(_BT2020, _HLG, _BT2020)),
    _look("tags_of_no_meaning.mkv", codec="libx264", tags=(14, _UNSPECIFIED, _UNSPECIFIED)),
    show("sound_of_three_rates.ts", _write_other_rates, range(60), first_s=0.008, has_sound=True),
]

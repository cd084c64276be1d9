"""Files whose header is wrong, or cannot be read."""

from functools import partial
from pathlib import Path

from odd_media.expected import OddFile, show
from odd_media.surgery import interrupt_avi, replace_bytes, set_avi_frames, set_matroska_length
from odd_media.writing import Pictures, Sound, Text, write_media

_NUMBERS = range(80)
_DELAYED_S = [0.064 + 0.1 * number for number in _NUMBERS]  # by the priming of the sound
_NO_B = {"bf": "0", "g": "10", "preset": "ultrafast"}


def _write_avi(path: Path) -> None:
    write_media(path, Pictures(_NUMBERS, codec="mpeg4", options={"g": "10"}))


def _write_avi_with_frames(path: Path, *, num_frames: int) -> None:
    _write_avi(path)
    set_avi_frames(path, num_frames)


def _write_unfinished_avi(path: Path) -> None:
    _write_avi(path)
    interrupt_avi(path)


def _write_matroska(path: Path, *, claimed_s: float) -> None:
    write_media(path, Pictures(_NUMBERS, options=_NO_B), Sound(8.0))
    set_matroska_length(path, claimed_s)


def _write_subtitles(path: Path) -> None:
    write_media(path, Pictures(_NUMBERS, options=_NO_B), Sound(8.0), Text((1, 300)))


def _write_hybrid(path: Path) -> None:
    write_media(path, Pictures(_NUMBERS, options=_NO_B), Sound(8.0), muxer={"movflags": "frag_keyframe"})


def _write_cut(path: Path) -> None:
    write_media(path, Pictures(_NUMBERS, options=_NO_B))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _write_latin1(path: Path) -> None:
    write_media(path, Pictures(_NUMBERS, options=_NO_B), metadata={"title": "Caf# au lait"})
    replace_bytes(path, b"Caf#", b"Caf\xe9")


def _claims(name: str, claimed_s: float) -> OddFile:
    make = partial(_write_matroska, claimed_s=claimed_s)
    return show(name, make, _NUMBERS, has_sound=True, notes=(rf"its header claims {claimed_s:.2f} s, but the content ends",))


HEADERS = [
    _claims("claims_2_s.mkv", 2.0),
    _claims("claims_7_s.mkv", 7.0),
    _claims("claims_10_hours.mkv", 36_000.0),
    show(
        "claims_20_frames.avi",
        partial(_write_avi_with_frames, num_frames=20),
        _NUMBERS,
        notes=(r"its header claims 2.00 s, but the content ends after 8.00 s",),
    ),
    show(
        "unfinished.avi",
        _write_unfinished_avi,
        _NUMBERS,
        notes=(r"its header claims \d+.\d+ s, but the content ends after 8.00 s",),
    ),
    show("late_subtitle.mkv", _write_subtitles, _NUMBERS, has_sound=True, notes=(r"its header claims 30\d.\d+ s",)),
    OddFile("first_fragment_in_index.mp4", _write_hybrid, [0.0, *_DELAYED_S[1:]], _NUMBERS, 8.06, num_frames=80, has_sound=True),
    show("latin1_title.mp4", _write_latin1, _NUMBERS),
    show("latin1_title.mkv", _write_latin1, _NUMBERS),
    OddFile("cut.mkv", _write_cut, refused_with=r"its header claims 8.00 s, .* \d+ of \d+ bytes are missing"),
    OddFile("cut.mp4", _write_cut, refused_with="it cannot be decoded"),
]

"""Files with packets that decoders refuse, with empty ones, and with repeated pictures."""

from functools import partial
from pathlib import Path

from odd_media.expected import OddFile, show
from odd_media.surgery import empty_samples, interrupt_avi, spoil_packets
from odd_media.writing import Pictures, Sound, write_media

_NUMBERS = range(200)
_KEYS = {"bf": "0", "g": "1", "preset": "ultrafast"}  # a broken picture harms no other


def _write_spoiled(path: Path, *, bad: list[int]) -> None:
    write_media(path, Pictures(_NUMBERS, options=_KEYS))
    spoil_packets(path, bad)


def _write_spoiled_sound(path: Path, *, bad: list[int]) -> None:
    write_media(path, Pictures(range(80)), Sound(8.0))
    spoil_packets(path, bad, kind="audio")


def _write_repeated(path: Path) -> None:
    write_media(path, Pictures(range(40), codec="mjpeg", pix_fmt="yuvj420p", options={}))
    empty_samples(path, [3, 7])


def _spoiled(name: str, *bad: int) -> OddFile:
    """A broken picture leaves the one before it on display, the first one shows the one after it."""
    numbers = [number - (number in bad) + 2 * (number == 0 and 0 in bad) for number in _NUMBERS]
    notes = (rf"{len(bad)} of 200 frames are damaged",)
    return show(name, partial(_write_spoiled, bad=list(bad)), numbers, num_damaged=len(bad), notes=notes)


def _write_half_packet(path: Path) -> None:
    write_media(path, Pictures(range(40), codec="mjpeg", pix_fmt="yuvj420p", options={}))
    interrupt_avi(path)
    path.write_bytes(path.read_bytes()[:-200])


DAMAGED = [
    show(
        "half_a_packet_at_the_end.avi",
        _write_half_packet,
        [*range(39), 38],
        num_damaged=1,
        notes=(r"its header claims .* the content ends after 4.00 s", r"1 of 40 frames are damaged$"),
    ),
    _spoiled("last_is_broken.mp4", 199),
    _spoiled("one_is_broken.mkv", 77),
    _spoiled("first_is_broken.mp4", 0),
    _spoiled("two_are_broken.mov", 40, 90),
    OddFile(
        "three_are_broken.mp4",
        partial(_write_spoiled, bad=[10, 50, 90]),
        refused_with="it cannot be decoded: 3 of 200 frames are damaged, at most 1% is tolerated",
    ),
    OddFile(
        "all_are_broken.mp4",
        partial(_write_spoiled, bad=list(_NUMBERS)),
        refused_with="it cannot be decoded: no frame comes out of its 200 packets of pictures",
    ),
    show(
        "broken_sound_packet.mp4",
        partial(_write_spoiled_sound, bad=[50]),
        range(80),
        has_sound=True,
        num_damaged_audio=1,
        notes=(r"1 of 12\d packets of sound are damaged$",),
    ),
    show(
        "broken_sound.mp4",
        partial(_write_spoiled_sound, bad=list(range(20, 60))),
        range(80),
        num_damaged_audio=40,
        notes=(r"40 of 12\d packets of sound are damaged, at most 1% is tolerated: it counts as a video without sound",),
    ),
    show("repeated.mov", _write_repeated, [2 if n == 3 else 6 if n == 7 else n for n in range(40)]),
]

"""Files whose clock restarts, leaps, wraps, stands still, or is missing."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from odd_media.expected import OddFile, show
from odd_media.surgery import join_files, join_flash_files
from odd_media.writing import Pictures, Sound, write_media

_PRIMING_S = 0.064  # of AAC at 16 kHz: the sound begins so long before the first picture, and with it the time
_NO_B = {"bf": "0", "g": "10", "preset": "ultrafast"}
_WRAP_S = (1 << 33) / 90000
_JOINED = (r"its 2 parts are joined",)
_STILLS_MS = (0, 10_000, 20_000, 30_000)


def _join(
    path: Path,
    *,
    join: Callable[..., None],
    offsets_s: tuple[float, ...],
    pictures: dict[str, Any],
    sound: dict[str, Any] | None,
    per_part: int = 30,
) -> None:
    """Join parts of `per_part` pictures whose clocks begin at the given offsets."""
    parts = []
    for number, offset_s in enumerate(offsets_s):
        parts.append(path.with_name(f"part{number}{path.suffix}"))
        shown = Pictures(range(per_part * number, per_part * (number + 1)), **pictures)
        length_s = per_part / shown.rate
        heard = [Sound(length_s, **sound)] if sound is not None else []
        write_media(parts[-1], shown, *heard, muxer={"output_ts_offset": str(offset_s)} if offset_s else {})
    join(path, *parts)


def _broadcast(name: str, *offsets_s: float, has_sound: bool = True, notes: tuple[str, ...] = _JOINED) -> OddFile:
    make = partial(_join, join=join_files, offsets_s=offsets_s, pictures={}, sound={} if has_sound else None)
    first_s = _PRIMING_S if has_sound else 0.0
    return show(name, make, range(30 * len(offsets_s)), first_s=first_s, has_sound=has_sound, notes=notes)


def _disc(name: str, *offsets_s: float) -> OddFile:
    pictures = {"codec": "mpeg2video", "rate": 25, "options": {"g": "10", "bf": "2"}}
    make = partial(_join, join=join_files, offsets_s=offsets_s, pictures=pictures, sound={"codec": "mp2"}, per_part=50)
    return show(name, make, range(50 * len(offsets_s)), first_s=0.03, step_s=0.04, has_sound=True, notes=_JOINED, slack=2)


def _write_stills(path: Path, *, sound_s: float = 0.0) -> None:
    sound = [Sound(sound_s)] if sound_s else []
    write_media(path, Pictures(range(1, 5), starts_ms=_STILLS_MS, options=_NO_B), *sound)


def _stills(name: str, *, first_s: float = 0.0, sound_s: float = 0.0, length_s: float = 30.1) -> OddFile:
    starts_s = [first_s + 0.001 * start_ms for start_ms in _STILLS_MS]
    make = partial(_write_stills, sound_s=sound_s)
    return OddFile(name, make, starts_s, range(1, 5), length_s, 0.2, num_frames=4, has_sound=sound_s > 0)


def _write_wrapping(path: Path) -> None:
    write_media(path, Pictures(range(80)), Sound(8.0), muxer={"output_ts_offset": f"{_WRAP_S - 4:.3f}"})


def _write_raw(path: Path) -> None:
    write_media(path, Pictures(range(40), options=_NO_B))


CLOCKS = [
    _broadcast("restarts.ts", 0, 0),
    _broadcast("restarts_without_sound.ts", 0, 0, has_sound=False),
    _broadcast("restarts_twice.ts", 0, 0, 0, notes=(r"its 3 parts are joined",)),
    _broadcast("restarts_earlier.ts", 5000, 10),
    _broadcast("leaps.ts", 0, 900),
    _broadcast("leaps_a_little.ts", 0, 8),
    _broadcast("leaps_without_sound.ts", 0, 900, has_sound=False),
    _broadcast("leaps_and_restarts.ts", 0, 900, 20, notes=(r"its 3 parts are joined",)),
    _disc("cells.vob", 0, 0),
    _disc("cells_that_leap.vob", 0, 600),
    show(
        "reconnected.flv",
        partial(
            _join, join=join_flash_files, offsets_s=(0, 0), pictures={"options": _NO_B}, sound={"rate_hz": 44_100}, per_part=40
        ),
        range(80),
        first_s=0.023,
        has_sound=True,
        notes=_JOINED,
    ),
    show("wraps.ts", _write_wrapping, range(80), first_s=_PRIMING_S, has_sound=True),
    _stills("stills.mp4"),
    _stills("stills.mkv"),
    _stills("stills_with_sound.ts", first_s=_PRIMING_S, sound_s=32.0, length_s=32.1),
    show("without_times.h264", _write_raw, range(40), step_s=0.04),  # 25 a second are assumed
]

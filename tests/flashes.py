"""Videos that flash and beep at the same time, in many formats, and a measurement of the offset between the two."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from scheduling import keep_scheduling

RATE = 20  # pictures a second
FLASH_S = 0.1
FIRST_S, STEP_S = 0.5, 1.0  # flashes start at 0.5 s, 1.5 s, ...
_TONE_HZ = 1000
_WIDTH, _HEIGHT = 64, 48

Change = Callable[[Any], Any]  # changes a packet before it is written; None leaves it out


@dataclass(frozen=True)
class Recording:
    """A video of flashes and beeps: its codecs, and the changes to its packets before they are written."""

    video: str = "libx264"
    sound: str = "aac"
    pixels: str = "yuv420p"
    sound_rate_hz: int = 48000
    layout: str = "stereo"
    loudness: float = 0.5  # of the beeps
    length_s: float = 6.0
    start_s: float = 0.0  # of both clocks
    change_picture: Change = lambda packet: packet
    change_sound: Change = lambda packet: packet
    video_options: dict[str, str] = field(default_factory=lambda: {"g": "20", "bf": "2", "sc_threshold": "0"})
    muxer: dict[str, str] = field(default_factory=dict)


def write_flashes(path: Path, recording: Recording, *, container: str | None = None) -> Path:
    """Write a recording with its packets in the order of their times."""
    with keep_scheduling(), av.open(str(path), "w", format=container, options=recording.muxer) as output:
        video: Any = output.add_stream(recording.video, rate=RATE, options=recording.video_options)
        video.width, video.height, video.pix_fmt = _WIDTH, _HEIGHT, recording.pixels
        sound: Any = output.add_stream(recording.sound, rate=recording.sound_rate_hz, layout=recording.layout)
        sound.bit_rate = 192_000
        packets = [(packet, recording.change_picture) for packet in _encode_pictures(video, recording)]
        packets += [(packet, recording.change_sound) for packet in _encode_sound(sound, recording)]
        output.start_encoding()
        for packet, change in sorted(packets, key=lambda one: float(one[0].dts * one[0].time_base)):
            ticks = round(recording.start_s / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            changed = change(packet)
            if changed is not None:
                output.mux(changed)
    return path


def leave_out(first_s: float, end_s: float, start_s: float = 0.0) -> Change:
    """Return a change that leaves out the packets of an interval."""
    return lambda packet: None if first_s <= float(packet.pts * packet.time_base) - start_s < end_s else packet


def damage(first_s: float, end_s: float) -> Change:
    """Return a change that overwrites the packets of an interval."""

    def change(packet: Any) -> Any:
        if first_s <= float(packet.pts * packet.time_base) < end_s:
            packet.update(b"\xff" * packet.size)
        return packet

    return change


def move_sound(by_s: float, from_s: float) -> Change:
    """Return a change that delays the packets from `from_s` on."""

    def change(packet: Any) -> Any:
        if float(packet.pts * packet.time_base) >= from_s:
            ticks = round(by_s / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return packet

    return change


def is_flash(time_s: float) -> bool:
    """Tell whether a recording flashes and beeps at a time."""
    return (time_s - FIRST_S) % STEP_S < FLASH_S - 1e-9


def _encode_pictures(stream: Any, recording: Recording) -> list[Any]:
    packets = []
    for number in range(round(recording.length_s * RATE)):
        value = 235 if is_flash(number / RATE) else 16
        image = np.full((_HEIGHT, _WIDTH, 3), value, dtype=np.uint8)
        image[:4, : 1 + number % 60] //= 2  # something moves, so that pictures differ
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=recording.pixels)
        frame.pts, frame.time_base = number, Fraction(1, RATE)
        packets += stream.encode(frame)
    return [*packets, *stream.encode()]


def _encode_sound(stream: Any, recording: Recording) -> list[Any]:
    times_s = np.arange(round(recording.length_s * recording.sound_rate_hz)) / recording.sound_rate_hz
    beeps = ((times_s - FIRST_S) % STEP_S < FLASH_S) & (times_s >= FIRST_S)
    samples = (recording.loudness * np.sin(2 * np.pi * _TONE_HZ * times_s) * beeps).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = recording.sound_rate_hz, 0, Fraction(1, recording.sound_rate_hz)
    return [*stream.encode(frame), *stream.encode()]


def measure_offsets(path: Path) -> list[float]:
    """Return the delay of each beep of a plain file after its flash, in seconds; a flash without a beep gives NaN.

    It reads the file by the timestamps of its streams, as a browser does.
    """
    flashes, beeps = find_flashes(path), find_beeps(path)
    offsets = [min((beep - flash for beep in beeps), key=abs, default=np.nan) for flash in flashes]
    return [offset if abs(offset) < STEP_S / 2 else np.nan for offset in offsets]


def find_flashes(path: Path) -> list[float]:
    """Return the times when pictures turn bright."""
    with av.open(str(path)) as container:
        found = [
            (float(frame.time), float(np.asarray(frame.to_ndarray(format="gray")).mean())) for frame in container.decode(video=0)
        ]
    return list(find_rises(np.array([time for time, _ in found]), np.array([value for _, value in found]) > 150, 0.3))


def find_beeps(path: Path) -> list[float]:
    """Return the times when the sound turns loud."""
    with av.open(str(path)) as container:
        parts = [_read_samples(frame) for frame in container.decode(audio=0)]
    times_s, values = (np.concatenate(one) for one in zip(*parts, strict=True))
    return list(find_rises(times_s, np.abs(values) > 0.15, 0.3))


def _read_samples(frame: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.atleast_2d(frame.to_ndarray()).astype(np.float64)
    values = values[0] if frame.format.is_planar else values[0, :: frame.layout.nb_channels]
    if np.issubdtype(frame.to_ndarray().dtype, np.integer):
        values = values / np.iinfo(frame.to_ndarray().dtype).max
    return float(frame.time) + np.arange(len(values)) / frame.sample_rate, values


def find_rises(times_s: NDArray[np.float64], is_on: NDArray[np.bool_], apart_s: float) -> Iterator[float]:
    """Yield the times when a signal turns on after it was off for longer than `apart_s`."""
    last_s = -np.inf
    for time_s in times_s[is_on].tolist():
        if time_s - last_s > apart_s:
            yield time_s
        last_s = time_s


def join_files(path: Path, parts: Sequence[Path]) -> Path:
    """Concatenate files, as `cat` does."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path

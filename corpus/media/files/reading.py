"""Sequential reader of a media file: pictures and optionally sound, on one clock, with damage counted and skipped.

Everything that needs every frame or packet uses this reader: the check of a file, frames of files with an odd clock, and
conversion to a playable form.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from corpus.media.files.clock import Clock
from corpus.media.files.container import open_video
from corpus.media.files.damage import Damage
from corpus.media.files.packets import PacketReader
from corpus.media.files.streams import find_sound
from corpus.media.files.timeline import Timeline, read_timeline


class MediaReader:
    """The pictures and the sound of an open file. Call one of `packets`, `frames`, `pictures` or `sounds`, once.

    `sound` is None if the file has no decodable sound stream, or if the caller did not ask for sound.
    """

    def __init__(self, container: InputContainer, video: VideoStream, sound: AudioStream | None, timeline: Timeline) -> None:
        """Read these streams of a freshly opened container."""
        self.container, self.video, self.sound, self.timeline = container, video, sound, timeline
        self.picture_damage, self.sound_damage = Damage(), Damage()
        self._clock = Clock(container, video, origin_s=timeline.origin_s)
        self._streams = [stream for stream in (video, sound) if stream is not None]

    def packets(self) -> Iterator[Any]:
        """Yield all packets in file order, with times on the one clock.

        Subtract `timeline.origin_s` to count from time 0. Repeated pictures (empty packets) are left out.
        """
        shifters = {stream.index: self.timeline.follow(stream.index) for stream in self._streams}
        for packet in PacketReader(self.container, self._streams):
            shifters[packet.stream_index].shift(packet)
            if packet.size:
                yield packet

    def frames(self) -> Iterator[VideoFrame | AudioFrame]:
        """Yield decoded frames in file order. Packets that a decoder rejects count as damage and are left out.

        Frames that a decoder marks as corrupt are counted and yielded.
        """
        for packet in self.packets():
            yield from self.decode(packet.stream, packet)
        for stream in self._streams:
            yield from self.decode(stream, None)

    def pictures(self) -> Iterator[VideoFrame]:
        """Yield the frames of the pictures only; see `frames`."""
        return (frame for frame in self.frames() if isinstance(frame, VideoFrame))

    def sounds(self) -> Iterator[AudioFrame]:
        """Yield the frames of the sound only, without decoding pictures; see `frames`."""
        if self.sound is None:
            return
        for packet in self.packets():
            if packet.stream_index == self.sound.index:
                yield from self.decode(self.sound, packet)
        yield from self.decode(self.sound, None)

    def decode(self, stream: VideoStream | AudioStream, packet: Any) -> list[Any]:
        """Return the decoded frames of one packet, or the remaining ones for None; count damage."""
        damage = self.picture_damage if stream is self.video else self.sound_damage
        damage.num_units += packet is not None
        try:
            frames = stream.codec_context.decode(packet)
        except av.error.MemoryError:
            raise
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            damage.add(1, ends=packet is None)
            return []
        damage.add(sum(frame.is_corrupt for frame in frames), ends=packet is None)
        return list(frames)

    def tell(self, frame: VideoFrame | AudioFrame) -> float | None:
        """Return the start of the next frame in seconds from time 0; None if it has none or is not shown.

        Starts of pictures never run backwards. Sound may start before 0, and two parts may overlap by a quarter second.
        """
        if isinstance(frame, VideoFrame):
            return self._clock.tell(frame)
        return None if frame.time is None else frame.time - self.timeline.origin_s


@contextmanager
def open_media(path: Path, *, num_threads: int = 1, with_sound: bool = False) -> Iterator[MediaReader]:
    """Determine the time axis of a file, then open it for reading from start to end.

    Raises:
        FileNotFoundError: naming a missing file.
        UndecodableError: as `open_video`, but decoder errors are counted instead.
    """
    timeline = read_timeline(path)
    with open_video(path, num_threads=num_threads, discard_others=not with_sound) as (container, video):
        yield MediaReader(container, video, find_sound(container) if with_sound else None, timeline)

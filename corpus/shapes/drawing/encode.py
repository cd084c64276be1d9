"""Deterministic mp4 encoding of frames and sound, independent of earlier encodings in the process."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from corpus.files import write_bytes
from corpus.shapes.params import ShapesParams

# At these sizes, mbtree and look-ahead make x264's bytes depend on earlier encodings in the process.
_X264 = {"preset": "superfast", "x264-params": "mbtree=0:rc-lookahead=0:bframes=0:scenecut=0:threads=1"}
_BT601, _LIMITED = 6, 1  # OpenCV's conversion of RGB to YUV, named in the H.264 stream so that players invert exactly that


def write_mp4(path: Path, frames: Iterable[NDArray[np.uint8]], sound: NDArray[np.float32], params: ShapesParams) -> None:
    """Write H.264 (yuv420p) and AAC (mono) with the index in front, so that browsers can seek immediately.

    `frames` are (size, size, 3) RGB, `sound` is (samples,) in [-1, 1].
    """
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / path.name
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            video, audio = _add_video(container, params), _add_audio(container, params)
            packets = _encode_video(video, frames) + _encode_audio(audio, sound, params.sample_rate_hz)
            for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
                container.mux(packet)
        write_bytes(path, temporary.read_bytes())


def _add_video(container: av.container.OutputContainer, params: ShapesParams) -> av.VideoStream:
    options = _X264 | {"crf": str(params.quality)}
    video = container.add_stream("libx264", rate=params.fps, options=options)
    video.width = video.height = params.size_px
    video.pix_fmt = "yuv420p"
    video.gop_size = round(params.fps * params.keyframe_s)
    video.thread_count = 1
    video.colorspace = _BT601
    video.color_range = _LIMITED
    return video


def _add_audio(container: av.container.OutputContainer, params: ShapesParams) -> av.AudioStream:
    options = {"aac_coder": "fast"}  # the default takes as long as drawing
    audio = container.add_stream("aac", rate=params.sample_rate_hz, layout="mono", options=options)
    audio.bit_rate = params.audio_bits_per_s
    return audio


def _encode_video(stream: av.VideoStream, frames: Iterable[NDArray[np.uint8]]) -> list[av.Packet]:
    packets: list[av.Packet] = []
    for index, rgb in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), format="yuv420p")
        frame.pts = index
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


def _encode_audio(stream: av.AudioStream, sound: NDArray[np.float32], rate_hz: int) -> list[av.Packet]:
    frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
    frame.sample_rate = rate_hz
    frame.pts = 0
    return list(stream.encode(frame)) + list(stream.encode(None))

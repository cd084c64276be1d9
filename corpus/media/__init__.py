"""Video files: probing, exact frames at given times, sound, and the clips that encoders see, for training and serving.

Frames are uint8 RGB, upright, in SDR. Sound is float32 in [-1, 1], on the time axis of the frames. Time 0 is `currentTime` 0
of a browser's player; see `find_origin_s`.
"""

from corpus.media.clip_grid import count_clips
from corpus.media.description import describe
from corpus.media.files.errors import UndecodableError
from corpus.media.pictures.clips import ClipSampling, compute_clip_times, iter_clips
from corpus.media.pictures.displayed import Display, Seconds
from corpus.media.pictures.frames import read_frames
from corpus.media.pictures.near_duplicates import encode_distinct
from corpus.media.pictures.preparation import PicturePreparation
from corpus.media.pictures.upright import Images, Size, read_shown_size
from corpus.media.probing import ExaminedFile, check_decodable, examine, probe
from corpus.media.sound.clips import SoundSampling, iter_sound_clips
from corpus.media.sound.placing import Samples
from corpus.media.sound.samples import iter_sound
from corpus.media.stream_clips import StreamSampling, iter_stream_clips
from corpus.media.versions import decoder_version
from corpus.media_info import MediaInfo

__all__ = [
    "ClipSampling",
    "Display",
    "ExaminedFile",
    "Images",
    "MediaInfo",
    "PicturePreparation",
    "Samples",
    "Seconds",
    "Size",
    "SoundSampling",
    "StreamSampling",
    "UndecodableError",
    "check_decodable",
    "compute_clip_times",
    "count_clips",
    "decoder_version",
    "describe",
    "encode_distinct",
    "examine",
    "iter_clips",
    "iter_sound",
    "iter_sound_clips",
    "iter_stream_clips",
    "probe",
    "read_frames",
    "read_shown_size",
]

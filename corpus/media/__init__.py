"""Video files: probing, exact frames at given times, and the clips that encoders see. One path for training and serving.

Frames are uint8 RGB and upright. Time 0 is where a browser's player has `currentTime` 0; see `find_origin_s`.
"""

from corpus.media.clips import ClipSampling, compute_clip_times, iter_clips
from corpus.media.container import UndecodableError
from corpus.media.description import describe
from corpus.media.displayed import Seconds
from corpus.media.frames import read_frames
from corpus.media.probing import MediaInfo, check_decodable, probe
from corpus.media.scaling import Images
from corpus.media.versions import decoder_version, hash_code

__all__ = [
    "ClipSampling",
    "Images",
    "MediaInfo",
    "Seconds",
    "UndecodableError",
    "check_decodable",
    "compute_clip_times",
    "decoder_version",
    "describe",
    "hash_code",
    "iter_clips",
    "probe",
    "read_frames",
]

"""Video files: probing, exact frames at given times, and the clips that encoders see. One path for training and serving."""

from pydantic import Field, PositiveFloat, PositiveInt

from corpus.params import Params


class ClipSampling(Params):
    """Which frames make a clip: part of every encoder's schema and of the feature fingerprint.

    Clip i of a video is centred at (i + 0.5) / clip_rate_hz seconds.
    """

    clip_rate_hz: PositiveFloat  # clips per second
    offsets_s: tuple[float, ...] = Field(min_length=1)  # times of its K frames around the centre
    size_px: PositiveInt  # frames are squares of this size

"""Which files hold the features of videos, and what is made of them: the schema of presets/features/."""

from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from corpus.params import Params

VIDEO_ID = "{video_id}"
HDF5_SUFFIXES = (".hdf5", ".h5")
SUFFIXES = (*HDF5_SUFFIXES, ".npz", ".npy")


class FeatureStream(Params):
    """The features of one network: an array (S, width) a video, in one file for all videos or in one file a video.

    In `path` and `key`, `{video_id}` stands for the id that the annotations give a video.
    """

    path: str  # of the file below the folder of the corpus; its suffix says how it is read
    key: str = ""  # of the array in an HDF5 or npz file
    width: PositiveInt
    normalise: Literal["l2", "none"]  # l2: every row is divided by its Euclidean norm

    @model_validator(mode="after")
    def _refuse_what_finds_no_array(self) -> Self:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"path must lie below the folder of the corpus, got {self.path!r}")
        if path.suffix not in SUFFIXES:
            raise ValueError(f"path must end in one of {', '.join(SUFFIXES)}, got {self.path!r}")
        if bool(self.key) != (path.suffix != ".npy"):
            raise ValueError(
                f"key names the array in an HDF5 or npz file and is empty for npy, got {self.key!r} for {self.path!r}"
            )
        if VIDEO_ID not in self.path and (path.suffix not in HDF5_SUFFIXES or VIDEO_ID not in self.key):
            raise ValueError(
                f"{VIDEO_ID} must be in path, or in the key of an HDF5 file, got path {self.path!r} and key {self.key!r}: "
                "every video would have the same features"
            )
        return self

    @property
    def is_one_file(self) -> bool:
        """Tell whether one file holds the arrays of all videos."""
        return VIDEO_ID not in self.path


class FeatureFilesParams(Params):
    """The streams that are concatenated to the features of a video, in order; without any, they are made from the videos."""

    streams: tuple[FeatureStream, ...]
    clip_rate_hz: PositiveFloat | None = None  # rows a second where they were taken at a fixed rate; checked against lengths
    max_length_difference: NonNegativeInt = 2  # rows that the streams of a video may differ by; all are cut to the shortest

    @property
    def width(self) -> int:
        """The width D of all streams together."""
        return sum(stream.width for stream in self.streams)

"""Schema of presets/features/: maps files of features to named streams."""

from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from corpus.params import Params
from corpus.stream_names import StreamName

VIDEO_ID = "{video_id}"
HDF5_SUFFIXES = (".hdf5", ".h5")
SUFFIXES = (*HDF5_SUFFIXES, ".npz", ".npy")


class FeatureStream(Params):
    """One stream, the features of one network: an array (S, width) per video, in one file for all videos or one file each.

    In `path` and `key`, `{video_id}` stands for the id that the annotations give a video.
    """

    name: StreamName
    path: str  # below the folder of the corpus; the suffix selects the format
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
    """The streams to read from files. Without streams, `extract` computes features from the videos."""

    streams: tuple[FeatureStream, ...]
    clip_rate_hz: PositiveFloat | None = None  # rows per second if the rate is fixed; checked against the lengths
    max_length_difference: NonNegativeInt = 2  # in rows, between streams of a video; all are cut to the shortest

    @model_validator(mode="after")
    def _refuse_equal_names(self) -> Self:
        names = [stream.name for stream in self.streams]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"streams need different names, got {', '.join(repeated)} more than once")
        return self

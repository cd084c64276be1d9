"""What scores mean: learned on validation by `evaluate`, carried by the bundle, applied to every answer."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, FiniteFloat, PositiveFloat, ValidationError

from corpus.calibration import PresenceScaling
from corpus.files import read_json
from corpus.params import Params


class Calibration(Params):
    """How sure one is of a moment by its evidence, and the confidence from which on something counts as found."""

    slope: PositiveFloat  # the confidence grows with the score
    clip_slope: FiniteFloat
    intercept: FiniteFloat
    threshold: float = Field(ge=0, le=1)

    @property
    def scaling(self) -> PresenceScaling:
        """The map from evidence to confidence."""
        return PresenceScaling(self.slope, self.clip_slope, self.intercept)


class Calibrations(Params):
    """One calibration for each way of asking; where there is none, `missing` says why: answers then have no confidence."""

    search: Calibration | None  # over a collection
    localize: Calibration | None  # in one video
    missing: Mapping[str, str]  # way of asking -> reason


def load_calibrations(path: Path) -> Calibrations:
    """Read what `evaluate` learned.

    Raises:
        FileNotFoundError: when it has not been written yet.
        ValueError: when it was written by other code.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: nobody knows what scores mean; run: dvc repro evaluate")
    try:
        return Calibrations.model_validate(read_json(path))
    except ValidationError as error:
        raise ValueError(f"{path}: {error.errors()[0]['msg']}; run: dvc repro --force evaluate") from error

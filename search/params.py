"""Parameters of the two-stage search, the same in `params.yaml`, evaluation, bundle and service."""

from pydantic import Field, NonNegativeFloat, PositiveInt

from corpus.params import Params


class SearchParams(Params):
    """Values of the two-stage search over a collection."""

    survivors: PositiveInt  # windows that the index passes on to the localizer; a short video is one window
    window_weight: NonNegativeFloat  # weight of the best clip's score in a moment's window
    localizer_weight: NonNegativeFloat  # weight of the localizer's logit
    max_iou: float = Field(ge=0, le=1)  # non-maximum suppression within a video
    moments_per_video: PositiveInt

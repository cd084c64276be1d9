"""Schema of `presets/render/<size>.yaml`: size and look of the drawn corpus."""

from typing import Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from corpus.params import Params


class SplitSizes(Params):
    """Videos per split."""

    train: PositiveInt
    val: PositiveInt
    test: PositiveInt
    test_unseen: NonNegativeInt = 0  # colour x shape x kind of event that no other split shows
    test_background: NonNegativeInt = 0  # the first videos of `test` with another background
    test_shifted: NonNegativeInt = 0  # colours and words that no other split shows
    gate: NonNegativeInt = 0  # new videos of the same world, on which only the promotion gate compares models

    @property
    def by_split(self) -> dict[str, int]:
        """Videos by the name of the split, in their order."""
        return {str(split): int(size) for split, size in self}

    @model_validator(mode="after")
    def _backgrounds_have_a_twin(self) -> Self:
        if self.test_background > self.test:
            raise ValueError(f"test_background={self.test_background} is above test={self.test}, whose backgrounds it swaps")
        return self


class ShapesParams(Params):
    """All values that determine the drawn corpus, except its seed."""

    videos: SplitSizes
    train_queries_per_video: PositiveInt
    test_queries_per_video: PositiveInt  # of every split except training
    shortest_s: PositiveFloat  # of a video
    longest_s: PositiveFloat
    shortest_event_s: float = Field(ge=1)
    longest_event_s: PositiveFloat
    min_events: int = Field(ge=2)
    max_events: int = Field(le=8)  # more events find no free actor
    min_actors: int = Field(ge=3)
    max_actors: int = Field(le=7)  # more find no room
    background_bias: float = Field(ge=0, le=1)  # how often a video's background fits its kinds of event
    size_px: int = Field(ge=64, multiple_of=16)
    fps: int = Field(ge=8, le=30)
    quality: int = Field(ge=10, le=40)  # constant rate factor of x264, lower is better
    keyframe_s: PositiveFloat
    sample_rate_hz: PositiveInt
    audio_bits_per_s: PositiveInt

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Self:
        for low, high in (
            ("shortest_s", "longest_s"),
            ("shortest_event_s", "longest_event_s"),
            ("min_events", "max_events"),
            ("min_actors", "max_actors"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low}={getattr(self, low)} is above {high}={getattr(self, high)}")
        if self.longest_event_s > self.shortest_s / 2:
            raise ValueError(
                f"longest_event_s={self.longest_event_s} is above half of the shortest video (shortest_s={self.shortest_s})"
            )
        return self

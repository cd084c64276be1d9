"""Schemas of requests and responses."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from corpus.names import unify
from search.answers import MAX_QUERIES, MAX_QUERY_CHARACTERS, MAX_TOP_K, Verdict
from serving.library.catalogue import Origin, Playable, State
from serving.variants.status import ChallengerState

MAX_VIDEO_IDS = 1000
MAX_ID_CHARACTERS = 1024
_SENTENCE = "the red circle moves right"

Sentence = Annotated[str, MinLen(1), MaxLen(MAX_QUERY_CHARACTERS), Field(description="a sentence about what happens")]
VideoId = Annotated[str, MinLen(1), MaxLen(MAX_ID_CHARACTERS), AfterValidator(unify)]
VideoInPath = Annotated[str, AfterValidator(unify)]
TopK = Annotated[int, Field(strict=True, description="largest number of moments"), Ge(1), Le(MAX_TOP_K)]
Seconds = Annotated[FiniteFloat, Field(strict=True, description="seconds from the start of the video"), Ge(0), Le(1e6)]


class _Request(BaseModel):
    """Base of request bodies; unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Request):
    """Limits of an answer."""

    top_k: TopK = 5
    video_ids: Annotated[list[VideoId], MinLen(1), MaxLen(MAX_VIDEO_IDS)] | None = Field(
        None, description="search only these videos"
    )
    min_score: Annotated[FiniteFloat, Field(strict=True)] | None = Field(None, description="drops moments with a lower score")
    min_confidence: Annotated[FiniteFloat, Field(strict=True), Ge(0), Le(1)] | None = Field(
        None, description="drops moments with a lower confidence; replaces the threshold of the models"
    )


class SearchRequest(Limits):
    """A sentence to look for in the collection."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": _SENTENCE, "top_k": 3}]})

    query: Sentence


class BatchRequest(Limits):
    """Several sentences to look for at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"queries": [_SENTENCE, "a square spins"], "top_k": 3}]})

    queries: Annotated[list[Sentence], MinLen(1), MaxLen(MAX_QUERIES)]


class LocalizeRequest(_Request):
    """A sentence to look for in one video."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": _SENTENCE, "video_id": "test-0000", "top_k": 3}]})

    query: Sentence
    video_id: VideoId
    top_k: TopK = 5


class OnceFields(BaseModel):
    """The fields sent with a video that is searched once. Numbers in forms are text."""

    query: Sentence
    top_k: Annotated[int, Ge(1), Le(MAX_TOP_K)] = 5


class FeedbackRequest(_Request):
    """A person's verdict on an answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": _SENTENCE, "video_id": "test-0000", "start_s": 2.0, "end_s": 4.5, "verdict": "right"},
            ]
        }
    )

    query: Sentence
    video_id: VideoId
    start_s: Seconds
    end_s: Annotated[Seconds, Gt(0)]
    verdict: Literal["right", "wrong", "corrected"]
    corrected_start_s: Seconds | None = Field(None, description="the true start; only with the verdict corrected")
    corrected_end_s: Annotated[Seconds, Gt(0)] | None = None
    answer_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = Field(None, description="the id of the answer")

    @model_validator(mode="after")
    def _check_spans(self) -> "FeedbackRequest":
        if self.start_s >= self.end_s:
            raise ValueError(f"start_s = {self.start_s} must lie before end_s = {self.end_s}")
        start_s, end_s = self.corrected_start_s, self.corrected_end_s
        if (self.verdict == "corrected") != (start_s is not None and end_s is not None):
            raise ValueError(
                "the verdict corrected needs corrected_start_s and corrected_end_s; leave them out with other verdicts"
            )
        if start_s is not None and end_s is not None and start_s >= end_s:
            raise ValueError(f"corrected_start_s = {start_s} must lie before corrected_end_s = {end_s}")
        return self


class Moment(BaseModel):
    """A span of a video that may show what the sentence describes."""

    video_id: str
    title: str
    start_s: float = Field(description="seconds from the start of the video")
    end_s: float
    score: float = Field(description="ranks moments; higher is better")
    confidence: float | None = Field(description="in [0, 1], that this is the moment; null if the models have no calibration")
    duration_s: float = Field(description="of the video")
    num_thumbnails: int = Field(description="of the video, in order of time")


class Versions(BaseModel):
    """The versions behind an answer."""

    model: str = Field(description="the start of the version of the models, a hash")
    model_name: str = Field(description="what people call the models")
    model_revision: str | None
    index: str
    variant: str


class BasisClass(BaseModel):
    """A class that took part in an answer."""

    name: str
    weight: float = Field(description="of the class in the score; those of an answer have the sum 1")
    similarity: float = Field(description="of its name to the sentence, in [0, 1]")


class Basis(BaseModel):
    """What the answer of models rests on that answer by the names of classes."""

    grounding: float = Field(description="the similarity of the nearest name, in [0, 1]")
    note: str = Field(description="how far that lets the answer be trusted")
    classes: list[BasisClass] = Field(description="the heaviest first")


class SearchAnswer(BaseModel):
    """The answer to one sentence: the moments found, or a best guess if none was found."""

    answer_id: str = Field(description="send it with feedback on this answer")
    query: str
    verdict: Verdict = Field(
        description="found: the best moment reaches the threshold; not_found: it does not; "
        "unsure: it does not, and the models cannot tell what is missing"
    )
    reason: str = Field(description="why the verdict is unsure; empty otherwise")
    found: bool = Field(description="whether the verdict is found")
    moments: list[Moment] = Field(description="best first, of found and unsure answers; empty if nothing meets the limits")
    best_guess: Moment | None = Field(description="the closest moment, if there are no moments")
    unknown_words: list[str] = Field(description="words that the models never saw; they add nothing to the search")
    basis: Basis | None = Field(description="of models that answer by the names of classes, otherwise null")


class OneAnswer(SearchAnswer):
    """The answer to a search."""

    versions: Versions
    took_ms: float


class BatchAnswer(BaseModel):
    """The answers to several sentences, in their order."""

    answers: list[SearchAnswer]
    versions: Versions
    took_ms: float


class Timeline(BaseModel):
    """Fit of the sentence to the video over time."""

    times_s: list[float]
    scores: list[float]
    candidates: list[Moment] = Field(description="the best moments of the video, best first")


class LocalizeAnswer(OneAnswer):
    """The answer to a search in one video."""

    timeline: Timeline


class VideoRow(BaseModel):
    """A video of the service."""

    video_id: str
    title: str
    duration_s: float | None = Field(description="null until it is known")
    origin: Origin
    state: State
    progress: float = Field(description="progress of the indexing, in [0, 1]")
    reason: str = Field(description="why it was refused or cannot be played; empty otherwise")
    num_thumbnails: int
    playable: Playable = Field(description="converting: a request for the media starts a conversion or waits for one")


class VideoList(BaseModel):
    """A part of the videos: uploads first, newest first."""

    videos: list[VideoRow]
    total: int
    offset: int
    limit: int


class FeedbackReceipt(BaseModel):
    """Receipt of kept feedback."""

    feedback_id: str


class Examples(BaseModel):
    """Sentences to try."""

    examples: list[str]


class UploadLimits(BaseModel):
    """Limits on uploads."""

    max_upload_mb: int
    max_video_s: int
    max_uploads: int


class ChallengerRow(BaseModel):
    """The challenger: a second set of models that is tried beside the champion."""

    state: ChallengerState = Field(
        description="behind: still encodes uploads; out: removed until a restart, as worse than the champion"
    )
    reason: str = Field(description="why it is out or refused; empty otherwise")
    model: str
    mode: str = Field(description="share: answers some clients; shadow: computes in the background, and never answers")
    share: float | None = Field(description="share of the clients that it answers; null for a shadow")
    agreement: float | None = Field(description="share of a shadow's first answers that agree with the champion's")


class VersionAnswer(BaseModel):
    """Served versions, size of the collection and limits."""

    versions: Versions
    good_for: str = Field(description="what the models find and what they do not; empty if the bundle does not state it")
    num_videos: int
    limits: UploadLimits
    challenger: ChallengerRow | None = Field(description="null without a challenger")


class ErrorAnswer(BaseModel):
    """Why a request was refused: what is wrong with which value, and what to do."""

    error: str

"""What the endpoints take and give."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from serving.answers import MAX_QUERY_CHARACTERS, MAX_TOP_K
from serving.library.catalogue import Origin, Playable, State
from serving.predictor import MAX_QUERIES
from serving.variants.status import ChallengerState

MAX_VIDEO_IDS = 1000
MAX_ID_CHARACTERS = 1024
_SENTENCE = "the red circle moves right"

Sentence = Annotated[str, MinLen(1), MaxLen(MAX_QUERY_CHARACTERS), Field(description="a sentence about what happens")]
VideoId = Annotated[str, MinLen(1), MaxLen(MAX_ID_CHARACTERS)]
TopK = Annotated[int, Field(strict=True, description="how many moments"), Ge(1), Le(MAX_TOP_K)]
Seconds = Annotated[FiniteFloat, Field(strict=True, description="seconds from the start of the video"), Ge(0), Le(1e6)]


class _Request(BaseModel):
    """What a client sends: names that there are not are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Request):
    """What an answer is limited to."""

    top_k: TopK = 5
    video_ids: Annotated[list[VideoId], MinLen(1), MaxLen(MAX_VIDEO_IDS)] | None = Field(
        None, description="search in these videos alone"
    )
    min_score: Annotated[FiniteFloat, Field(strict=True)] | None = Field(None, description="least score of a moment")
    min_confidence: Annotated[FiniteFloat, Field(strict=True), Ge(0), Le(1)] | None = Field(
        None, description="least confidence of a moment, in place of the threshold of the models"
    )


class SearchRequest(Limits):
    """A sentence to look for in the collection."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": _SENTENCE, "top_k": 3}]})

    query: Sentence


class BatchRequest(Limits):
    """Several sentences, looked for at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"queries": [_SENTENCE, "a square spins"], "top_k": 3}]})

    queries: Annotated[list[Sentence], MinLen(1), MaxLen(MAX_QUERIES)]


class LocalizeRequest(_Request):
    """A sentence to look for in one video."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": _SENTENCE, "video_id": "test-0000", "top_k": 3}]})

    query: Sentence
    video_id: VideoId
    top_k: TopK = 5


class OnceFields(BaseModel):
    """The fields beside a video that is asked about once; numbers of forms are text."""

    query: Sentence
    top_k: Annotated[int, Ge(1), Le(MAX_TOP_K)] = 5


class FeedbackRequest(_Request):
    """What a person says about an answer."""

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
    corrected_start_s: Seconds | None = Field(None, description="where the moment really starts; with the verdict corrected")
    corrected_end_s: Annotated[Seconds, Gt(0)] | None = None
    answer_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = Field(None, description="that of the answer")

    @model_validator(mode="after")
    def _check_spans(self) -> "FeedbackRequest":
        if self.start_s >= self.end_s:
            raise ValueError(f"start_s = {self.start_s} must lie before end_s = {self.end_s}")
        start_s, end_s = self.corrected_start_s, self.corrected_end_s
        if (self.verdict == "corrected") != (start_s is not None and end_s is not None):
            raise ValueError("corrected_start_s and corrected_end_s belong to the verdict corrected, and it to both of them")
        if start_s is not None and end_s is not None and start_s >= end_s:
            raise ValueError(f"corrected_start_s = {start_s} must lie before corrected_end_s = {end_s}")
        return self


class Moment(BaseModel):
    """A span of a video that may be what the sentence describes."""

    video_id: str
    title: str
    start_s: float = Field(description="seconds from the start of the video")
    end_s: float
    score: float = Field(description="ranks; higher is better")
    confidence: float | None = Field(description="that it is the moment, in [0, 1]; null where the models know none")
    duration_s: float = Field(description="of the video")
    num_thumbnails: int = Field(description="of the video, in the order of time")


class Versions(BaseModel):
    """What an answer comes from."""

    model: str
    index: str
    variant: str


class SearchAnswer(BaseModel):
    """The answer to one sentence: moments, or none of them and the best guess."""

    answer_id: str = Field(description="name it in feedback")
    query: str
    found: bool = Field(description="whether the best moment reaches the threshold")
    moments: list[Moment] = Field(description="best first; empty where nothing was found")
    best_guess: Moment | None = Field(description="where nothing was found: what came closest")
    unknown_words: list[str] = Field(description="words that the models never saw; they add nothing to the search")


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
    """How well the sentence fits the video over time."""

    times_s: list[float]
    scores: list[float]
    candidates: list[Moment] = Field(description="neighbours of the answer, best first")


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
    progress: float = Field(description="of the indexing, in [0, 1]")
    reason: str = Field(description="why it was refused or cannot be played; empty otherwise")
    num_thumbnails: int
    playable: Playable = Field(description="converting: asking for the media starts a conversion or waits for one")


class VideoList(BaseModel):
    """A part of the videos: uploads first, the newest of them first."""

    videos: list[VideoRow]
    total: int
    offset: int
    limit: int


class FeedbackReceipt(BaseModel):
    """What was kept."""

    feedback_id: str


class Examples(BaseModel):
    """Sentences to try."""

    examples: list[str]


class UploadLimits(BaseModel):
    """How much may be uploaded."""

    max_upload_mb: int
    max_video_s: int
    max_uploads: int


class ChallengerRow(BaseModel):
    """A second set of models that is tried beside those that answer."""

    state: ChallengerState = Field(description="behind: while it encodes uploads; out: worse than the champion, until a restart")
    reason: str = Field(description="why it is out or refused; empty otherwise")
    model: str
    mode: str = Field(description="share: answers some clients; shadow: computes in the background, and never answers")
    share: float | None = Field(description="of the clients that it answers; null for a shadow")
    agreement: float | None = Field(description="of a shadow's first answers with the champion's")


class VersionAnswer(BaseModel):
    """What is served."""

    versions: Versions
    num_videos: int
    limits: UploadLimits
    challenger: ChallengerRow | None = Field(description="null where there is none")


class ErrorAnswer(BaseModel):
    """Why a request was refused: what is wrong with which value, and what to do."""

    error: str

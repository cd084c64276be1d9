"""Row schema of QVHighlights, which the JSONL of the folder reader extends. Source: Lei et al. 2021 (arXiv:2107.09609)."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from corpus.readers.parsing.schema import Duration, Window
from corpus.records import Query, to_moments

ClipId = Annotated[int, Field(strict=True, ge=0, le=10**6)]
Rating = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class HighlightRow(BaseModel):
    """One line: a sentence, its windows in seconds, and ratings of their 2 s clips by several annotators."""

    model_config = ConfigDict(frozen=True)

    qid: Annotated[str, Field(min_length=1)] | StrictInt
    vid: str = Field(min_length=1)
    duration: Duration
    query: str
    relevant_windows: list[Window] | None = None
    relevant_clip_ids: list[ClipId] = []
    saliency_scores: list[list[Rating]] = []

    def to_query(self, *, video_id: str, split: str, **values: Any) -> Query:
        """Return the query.

        Raises:
            ValueError: when the row has no windows, an invalid window, or unequal numbers of rated clips and ratings.
        """
        if len(self.relevant_clip_ids) != len(self.saliency_scores):
            lengths = f"{len(self.relevant_clip_ids)} relevant_clip_ids, {len(self.saliency_scores)} saliency_scores"
            raise ValueError(f"each clip needs its scores, got {lengths}")
        ratings = {clip: tuple(scores) for clip, scores in zip(self.relevant_clip_ids, self.saliency_scores, strict=True)}
        return Query(
            qid=str(self.qid),
            video_id=video_id,
            text=self.query.strip(),
            spans=to_moments(self.relevant_windows or []),
            split=split,
            saliency=ratings,
            **values,
        )

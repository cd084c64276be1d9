"""What must hold of a corpus: the expectations of the data gate on its two tables."""

from typing import Any

import great_expectations.expectations as gxe

from corpus.records import TRAIN, VALIDATION


def build_video_expectations() -> list[Any]:
    """Return what must hold of the table of videos."""
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *_require_filled("video_id", "path", "split", "codec", "sha256"),
        gxe.ExpectColumnValuesToBeUnique(column="video_id"),
        gxe.ExpectColumnDistinctValuesToContainSet(column="split", value_set=[TRAIN, VALIDATION]),
        *_require_range("duration_s", min_value=0, strict_min=True),
        *_require_range("fps", min_value=0, strict_min=True, max_value=1000),
        *_require_range("num_frames", min_value=1),
        *_require_range("width", min_value=1),
        *_require_range("height", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="rotation", value_set=[0, 90, 180, 270]),
        gxe.ExpectColumnValuesToBeInSet(column="has_audio", value_set=[True, False]),
        gxe.ExpectColumnValuesToMatchRegex(column="sha256", regex="^[0-9a-f]{64}$"),
        gxe.ExpectColumnValuesToBeBetween(
            column="splits_of_content", max_value=1, notes="the same bytes must not be in two splits"
        ),
    ]


def build_query_expectations(*, max_query_words: int) -> list[Any]:
    """Return what must hold of the table of queries."""
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *_require_filled("qid", "video_id", "text", "split", "source"),
        gxe.ExpectColumnValuesToBeUnique(column="qid"),
        gxe.ExpectColumnDistinctValuesToContainSet(column="split", value_set=[TRAIN, VALIDATION]),
        gxe.ExpectColumnValuesToNotBeNull(column="video_duration_s", notes="the video of every query must be in the corpus"),
        gxe.ExpectColumnPairValuesToBeEqual(column_A="split", column_B="video_split", notes="splits are by video"),
        gxe.ExpectColumnValuesToBeBetween(column="num_words", min_value=1, max_value=max_query_words),
        gxe.ExpectColumnValuesToBeBetween(column="num_moments", min_value=1),
        *_require_range("first_start_s", min_value=0),
        *_require_range("shortest_moment_s", min_value=0, strict_min=True),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="video_duration_s", column_B="last_end_s", or_equal=True, notes="every moment must end inside its video"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="elsewhere_outside_split", max_value=0, notes="moments of other videos must be of the same split"
        ),
    ]


def _require_filled(*columns: str) -> list[Any]:
    return [gxe.ExpectColumnValuesToNotBeNull(column=column) for column in columns]


def _require_range(column: str, **bounds: Any) -> list[Any]:
    return [gxe.ExpectColumnValuesToNotBeNull(column=column), gxe.ExpectColumnValuesToBeBetween(column=column, **bounds)]

"""Questions of one split as arrays for the metrics: Q queries with their true moments, videos and durations."""

from dataclasses import dataclass, replace

import numpy as np

from corpus.moments import Floats, Ints, Moment
from corpus.records import Corpus, Query, Video
from models.metrics.collection import CollectionTruth
from models.metrics.spans import PaddedSpans, pad_moments


@dataclass(frozen=True)
class Questions:
    """The queries of a split and all its videos, including those without queries."""

    split: str
    videos: tuple[Video, ...]
    queries: tuple[Query, ...]
    truth: PaddedSpans  # (Q, G) true moments in the query's own video
    durations_s: Floats  # (Q,)
    video_index: Ints  # (Q,) index into `videos`

    def __len__(self) -> int:
        """The number of queries Q."""
        return len(self.queries)

    def take(self, rows: Ints) -> "Questions":
        """Return the chosen queries, in the order given, with all videos."""
        queries = tuple(self.queries[row] for row in rows)
        truth = PaddedSpans(self.truth.spans[rows], self.truth.mask[rows])
        return replace(self, queries=queries, truth=truth, durations_s=self.durations_s[rows], video_index=self.video_index[rows])

    @property
    def video_ids(self) -> list[str]:
        """The own video of each query."""
        return [query.video_id for query in self.queries]

    @property
    def num_asked_videos(self) -> int:
        """The number of videos with queries, which the intervals resample."""
        return len(np.unique(self.video_index))


def prepare_questions(corpus: Corpus, split: str) -> Questions:
    """Collect the queries of a split.

    Raises:
        ValueError: naming a query whose video is not in the split.
    """
    part = corpus.of_split(split)
    position = {video.video_id: index for index, video in enumerate(part.videos)}
    for query in part.queries:
        if query.video_id not in position:
            raise ValueError(
                f"query {query.qid!r} of split {split!r} is about {query.video_id!r}, which is not a video of that split"
            )
    index = np.array([position[query.video_id] for query in part.queries], dtype=np.int64)
    durations_s = np.array([video.duration_s for video in part.videos])
    truth = pad_moments([query.spans for query in part.queries])
    return Questions(split, part.videos, part.queries, truth, durations_s[index], index)


def build_collection_truth(questions: Questions) -> CollectionTruth:
    """Collect every moment of the split where each query is true, in its own video and elsewhere."""
    position = {video.video_id: index for index, video in enumerate(questions.videos)}
    places = [
        [(position[video_id], moment) for video_id, moments in _find_moments(query) for moment in moments if video_id in position]
        for query in questions.queries
    ]
    spans = pad_moments([[moment for _, moment in of_query] for of_query in places]).spans  # (Q, G, 2)
    videos = np.full(spans.shape[:2], -1, dtype=np.int64)
    for row, of_query in enumerate(places):
        videos[row, : len(of_query)] = [video for video, _ in of_query]
    return CollectionTruth(videos, spans)


def _find_moments(query: Query) -> list[tuple[str, tuple[Moment, ...]]]:
    return [(query.video_id, query.spans), *query.elsewhere.items()]

"""Pairs predictions with the queries they answer, and turns both into the arrays that metrics take."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from corpus.annotations import name_some
from corpus.moments import Floats, Ints
from corpus.records import Query
from evaluation.scoring.ground_truth import GroundTruth
from evaluation.scoring.prediction_files import Prediction
from models.metrics.highlights import Ratings, Saliency
from models.metrics.spans import PaddedSpans, RankedSpans, pad_moments

RATED_CLIP_S = 2  # of QVHighlights
_NUM_RATINGS = 3  # people who rated each clip


@dataclass(frozen=True)
class Pairs:
    """Q queries with the prediction of each, in the order of the truth."""

    queries: tuple[Query, ...]
    predictions: tuple[Prediction, ...]
    durations_s: tuple[float | None, ...]

    @property
    def truth(self) -> PaddedSpans:
        """The true moments (Q, G)."""
        return pad_moments([query.spans for query in self.queries])

    @property
    def people(self) -> PaddedSpans:
        """The moments of each person (Q, A), or the true moments if a query names no people."""
        return pad_moments([[span for spans in query.annotators for span in spans] or query.spans for query in self.queries])

    @property
    def videos(self) -> Ints:
        """The number of each query's video (Q,), which the intervals resample."""
        _, index = np.unique([query.video_id for query in self.queries], return_inverse=True)
        return index

    def read_windows(self) -> RankedSpans:
        """Return the windows in listed order (Q, K)."""
        windows = [prediction.windows for prediction in self.predictions if prediction.windows is not None]
        assert len(windows) == len(self.predictions)
        spans, scores = pad([one[:, :2] for one in windows]), pad([one[:, 2] for one in windows])
        return RankedSpans(spans, scores, _mask(windows))

    def read_saliency(self) -> tuple[Saliency, Ratings]:
        """Return the scores of the clips and the ratings of people.

        Raises:
            ValueError: naming queries without the ratings of three people, or without a length.
        """
        scores = [prediction.saliency for prediction in self.predictions if prediction.saliency is not None]
        assert len(scores) == len(self.predictions)
        ratings = [_read_ratings(query, duration_s) for query, duration_s in zip(self.queries, self.durations_s, strict=True)]
        num_clips = np.array([len(of_query) for of_query in ratings])
        return Saliency(pad(scores), _mask(scores)), Ratings(pad(ratings), num_clips)

    def read_collection_moments(self) -> tuple[Floats, Ints, Ints]:
        """Return the moments over all videos in listed order (Q, K, 2), their videos (Q, K), and the queries' videos (Q,)."""
        found = [prediction.moments or () for prediction in self.predictions]
        spans = pad([np.array([(moment.start_s, moment.end_s) for moment in of_query]) for of_query in found])
        return spans, *self._number_videos([[moment.video_id for moment in of_query] for of_query in found])

    def read_videos(self) -> tuple[Ints, Ints]:
        """Return the videos found (Q, K), -1 after the last one, and the queries' videos (Q,)."""
        return self._number_videos([prediction.videos or () for prediction in self.predictions])

    def _number_videos(self, found: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
        numbers = {video_id: number for number, video_id in enumerate({name for names in found for name in names})}
        listed = pad([np.array([numbers[video_id] + 1 for video_id in of_query]) for of_query in found]).astype(np.int64) - 1
        return listed, np.array([numbers.get(query.video_id, -2) for query in self.queries])


def pair(truth: GroundTruth, predictions: Sequence[Prediction], *, shared_only: bool) -> Pairs:
    """Pair predictions with queries by qid. A qid on only one side is left out if `shared_only` is set, else refused.

    Raises:
        ValueError: naming qids without a partner, or lines whose keys differ from those of the first line.
    """
    by_qid = {prediction.qid: prediction for prediction in predictions}
    known = {query.qid for query in truth.queries}
    unanswered = [query.qid for query in truth.queries if query.qid not in by_qid]
    unknown = [prediction.qid for prediction in predictions if prediction.qid not in known]
    if (unanswered or unknown) and not shared_only:
        raise ValueError(_describe_mismatch(truth, unanswered, unknown))
    queries = tuple(query for query in truth.queries if query.qid in by_qid)
    if not queries:
        raise ValueError(f"no qid is both in {truth.name} and among the predictions")
    chosen = tuple(by_qid[query.qid] for query in queries)
    _require_same_keys(chosen)
    pairs = Pairs(queries, chosen, tuple(truth.durations_s.get(query.qid) for query in queries))
    _warn_of_oddities(pairs)
    return pairs


def pad(arrays: Sequence[Floats]) -> Floats:
    """Stack arrays of different lengths, with zeros after the shorter ones: Q of (K, ...) -> (Q, K, ...)."""
    padded = np.zeros((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]))
    for row, one in enumerate(arrays):
        padded[row, : len(one)] = one
    return padded


def _mask(arrays: Sequence[Floats]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    lengths = np.array([len(one) for one in arrays])
    return np.arange(lengths.max()) < lengths[:, None]


def _read_ratings(query: Query, duration_s: float | None) -> Floats:
    """Return the ratings of every clip of a query's video, 0 for clips that nobody rated: (C, 3)."""
    if duration_s is None or not query.saliency:
        lacking = "length of its video" if duration_s is None else "saliency_scores"
        raise ValueError(f"qid {query.qid}: the truth has no {lacking}, so pred_saliency_scores cannot be scored; leave them out")
    ratings = np.zeros((int(duration_s / RATED_CLIP_S), _NUM_RATINGS))
    for clip, given in query.saliency.items():
        if clip >= len(ratings) or len(given) != _NUM_RATINGS:
            raise ValueError(
                f"qid {query.qid}: clip {clip} of the truth has {len(given)} ratings in a video of {len(ratings)} clips; "
                f"each rated clip needs {_NUM_RATINGS} and must lie in its video"
            )
        ratings[clip] = given
    return ratings


def _describe_mismatch(truth: GroundTruth, unanswered: Sequence[str], unknown: Sequence[str]) -> str:
    parts = []
    if unanswered:
        share = f"{len(unanswered)} of {len(truth.queries)} queries of {truth.name}"
        parts.append(f"{share} have no prediction: {name_some(unanswered)}")
    if unknown:
        parts.append(f"{len(unknown)} predicted qids are not in {truth.name}: {name_some(unknown)}")
    return "; ".join(parts) + "; add --shared-only to score those on both sides"


def _require_same_keys(predictions: Sequence[Prediction]) -> None:
    """Refuse a file in which only some lines have windows or saliency, because any figure of it would be wrong."""
    first = predictions[0]
    keys = {
        "windows": "pred_relevant_windows",
        "saliency": "pred_saliency_scores",
        "moments": "pred_collection_moments",
        "videos": "pred_videos",
    }
    for field, key in keys.items():
        given = getattr(first, field) is not None
        others = [other.place for other in predictions if (getattr(other, field) is not None) != given]
        if others:
            have, lack = ([first.place], others) if given else (others, [first.place])
            raise ValueError(f"{key} must be in every line or in none: {name_some(have)} has it, {name_some(lack)} lacks it")


def _warn_of_oddities(pairs: Pairs) -> None:
    reversed_, late, foreign = [], [], []
    for query, prediction, duration_s in zip(pairs.queries, pairs.predictions, pairs.durations_s, strict=True):
        if prediction.windows is not None:
            if (prediction.windows[:, 0] > prediction.windows[:, 1]).any():
                reversed_.append(prediction.place)
            if duration_s is not None and (prediction.windows[:, 1] > duration_s).any():
                late.append(prediction.place)
        if prediction.video_id not in (None, query.video_id):
            foreign.append(prediction.place)
    _warn(reversed_, "windows end before they start and are misses")
    _warn(late, "windows end after their video; they are scored unclipped")
    _warn(foreign, "vid differs from the query's video in the truth; only the qid counts")


def _warn(places: Iterable[str], what: str) -> None:
    if listed := list(places):
        warnings.warn(f"{what}: {name_some(listed)}", stacklevel=2)

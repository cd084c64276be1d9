"""Predictor of a zero-shot bundle: answers sentences with shots, by the classes with the nearest names. Every search is exact.

Letters: V videos, H shots, S frames, K classes.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corpus.moments import Floats, RankedMoment
from search.answers import (
    MAX_QUERIES,
    MAX_TIMELINE_POINTS,
    TIMELINE_CANDIDATES,
    Answer,
    BasisClass,
    FoundMoment,
    SearchBasis,
    SearchQuery,
    Timeline,
    give_confidence,
    require_limits,
    require_query,
)
from search.class_names.bundle import ClassBundle, load_class_bundle
from search.class_names.collection import ClassCollection, load_class_collection
from search.class_names.networks import ClassNetworks
from search.class_names.recipe import ClassWeights, compute_shot_times, score, weigh_classes
from search.class_names.trust import judge_by_names
from search.class_names.video import ClassifiedVideo
from search.contracts import Ranking
from search.indexed_video import IndexedVideo
from search.two_stage import sort_moments


class ClassPredictor:
    """Answers sentences by class names; threads may share it.

    A search uses the collection at its start. `add_video` and `remove_video` replace the collection for later searches.
    """

    def __init__(self, bundle: ClassBundle, collection: ClassCollection, *, num_threads: int = 2) -> None:
        """Answer with verified models over a verified collection; see `load`."""
        self.bundle = bundle
        self._collection = collection
        self._changing = threading.Lock()
        self._networks = ClassNetworks(bundle.folder, num_threads=num_threads)

    @classmethod
    def load(cls, bundle_dir: Path, index_dir: Path, *, num_threads: int = 2) -> "ClassPredictor":
        """Verify and open a bundle and its index.

        Raises:
            FileNotFoundError: when one of them is missing.
            ValueError: when a file is damaged or they do not belong together.
        """
        bundle = load_class_bundle(bundle_dir)
        return cls(bundle, load_class_collection(index_dir, bundle, bundle_dir=bundle_dir), num_threads=num_threads)

    @property
    def collection(self) -> ClassCollection:
        """The present collection. It is immutable; a change replaces it."""
        return self._collection

    def search(self, query: SearchQuery | Sequence[SearchQuery]) -> list[Answer]:
        """Answer sentences over the collection, in their order.

        Each video answers with its best shot. Further shots follow if that gives fewer than `top_k` moments.

        Raises:
            KeyError: naming a video of a filter that the collection does not hold.
            ValueError: naming a sentence, limit or number of queries that is out of range.
        """
        queries = [query] if isinstance(query, SearchQuery) else list(query)
        if not 1 <= len(queries) <= MAX_QUERIES:
            raise ValueError(f"{len(queries)} queries at once; give 1 to {MAX_QUERIES}")
        for one in queries:
            self._require_query(one)
        collection = self._collection
        return [self._search(one, collection) for one in queries]

    def rank_survivors(self, query: str, *, top_k: int) -> Ranking:
        """Return the windows that a search reads, which are all, and their best shots. For measurements of the search."""
        videos = list(self._collection.videos)
        windows = [window for name in videos for window in self._collection.list_windows(name)]
        return Ranking(windows, self.rank_videos(query, videos, top_k=top_k))

    def rank_videos(self, query: str, video_ids: Sequence[str], *, top_k: int) -> list[RankedMoment]:
        """Return the best shots of some videos. For measurements of the search.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        collection, weights = self._collection, self._weigh(query)
        return sort_moments([shot for name in video_ids for shot in self._rank_shots(collection, name, weights)])[:top_k]

    def localize(self, query: str, video_id: str, top_k: int = 5) -> Answer:
        """Answer a sentence in one video of the collection with its best shots and the timeline.

        Raises:
            KeyError: naming an id that the collection does not hold.
            ValueError: as `search`.
        """
        collection = self._collection
        collection.find_video(video_id)
        return self._localize(SearchQuery(query, top_k), video_id, collection.classified[video_id])

    def localize_encoded(self, query: str, encoded: ClassifiedVideo, top_k: int = 5) -> Answer:
        """Answer a sentence in a video outside the collection, like `localize`; its id is empty."""
        return self._localize(SearchQuery(query, top_k), "", encoded)

    def add_video(self, video: IndexedVideo, encoded: ClassifiedVideo) -> None:
        """Put a video into the collection; the next search sees it.

        Raises:
            ValueError: when the collection holds its id already, or it was not encoded by this bundle.
        """
        with self._changing:
            self._collection = self._collection.add(video, encoded)

    def remove_video(self, video_id: str) -> None:
        """Take a video out of the collection; the next search does not see it.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        with self._changing:
            self._collection = self._collection.remove(video_id)

    def discard_strays(self) -> None:
        """Do nothing: no part of the index lies outside this process."""

    def find_unknown(self, query: str) -> list[str]:
        """Return the words of a sentence that the sentence encoder cannot spell."""
        return self.bundle.tokenizer.find_unknown(query)

    def _require_query(self, query: SearchQuery) -> None:
        require_query(query.query)
        require_limits(query)
        if query.min_confidence:
            raise ValueError(
                f"min_confidence = {query.min_confidence}: {self.bundle.model.name} gives no confidence, only how near its "
                "class names are; use min_score"
            )

    def _weigh(self, query: str) -> ClassWeights:
        (sentence,) = self._networks.encode_sentences(self.bundle.tokenizer.encode([query]))
        return weigh_classes(sentence, self.bundle.name_vectors)

    def _search(self, query: SearchQuery, collection: ClassCollection) -> Answer:
        weights = self._weigh(query.query)
        names = _choose_videos(collection, query, weights)
        shots = [self._rank_shots(collection, name, weights) for name in names]
        firsts = [one[0] for one in shots]
        others = sort_moments([shot for one in shots for shot in one[1:]])[: query.top_k - len(firsts)]
        return self._judge(sort_moments([*firsts, *others]), query, weights)

    def _rank_shots(self, collection: ClassCollection, video_id: str, weights: ClassWeights) -> list[RankedMoment]:
        """Return the shots of a video, best first. The best gets the video's score; the others keep their distance to it."""
        video = collection.classified[video_id]
        shots = self._list_shots(video_id, video, weights)
        shortfall = shots[0].score - float(score(video.pooled[0], weights))
        return [shot._replace(score=shot.score - shortfall) for shot in shots]

    def _list_shots(self, video_id: str, video: ClassifiedVideo, weights: ClassWeights) -> list[RankedMoment]:
        """Return the shots of a video by the mean score of their frames, best first."""
        rate_hz = self.bundle.manifest.sampling.frame_rate_hz
        spans = compute_shot_times(video.shots, frame_rate_hz=rate_hz, duration_s=video.duration_s).tolist()
        scores = score(video.fits, weights).tolist()
        return sort_moments([RankedMoment(video_id, start, end, one) for (start, end), one in zip(spans, scores, strict=True)])

    def _localize(self, query: SearchQuery, video_id: str, video: ClassifiedVideo) -> Answer:
        self._require_query(query)
        weights = self._weigh(query.query)
        ranked = self._list_shots(video_id, video, weights)
        shown = give_confidence(ranked[:TIMELINE_CANDIDATES], None)
        timeline = build_frame_timeline(score(video.logits, weights), shown, video.duration_s)
        return self._judge(ranked, query, weights)._replace(timeline=timeline)

    def _judge(self, ranked: Sequence[RankedMoment], query: SearchQuery, weights: ClassWeights) -> Answer:
        return judge_by_names(ranked, query, self._explain(weights), unknown_words=self.find_unknown(query.query))

    def _explain(self, weights: ClassWeights) -> SearchBasis:
        names = self.bundle.class_names
        rows = zip(weights.classes, weights.weights, weights.similarities, strict=True)
        classes = tuple(BasisClass(names[row], float(weight), float(near)) for row, weight, near in rows)
        return SearchBasis(weights.grounding, classes)


def _choose_videos(collection: ClassCollection, query: SearchQuery, weights: ClassWeights) -> list[str]:
    """Return the `top_k` videos with the best scores, among all videos or those that the query names; ties by id.

    Raises:
        KeyError: naming a video that the collection does not hold.
    """
    if not collection.videos and query.video_ids is None:
        return []
    if query.video_ids is not None:
        names = [collection.find_video(name).video_id for name in sorted(query.video_ids)]
        fits = np.concatenate([collection.classified[name].pooled for name in names])
    else:
        names, fits = list(collection.videos), collection.pooled
    scores = score(fits, weights)
    order = sorted(range(len(names)), key=lambda row: (-scores[row], names[row]))
    return [names[row] for row in order[: query.top_k]]


def build_frame_timeline(scores: Floats, shown: tuple[FoundMoment, ...], duration_s: float) -> Timeline:
    """Return the scores of the frames (S,) over time, scaled from 0 (the worst frame) to 1 (the best).

    More than `MAX_TIMELINE_POINTS` frames are cut into that many parts; each point is then the maximum of a part.
    """
    num_points = min(len(scores), MAX_TIMELINE_POINTS)
    starts = np.arange(num_points) * len(scores) // num_points
    best = np.maximum.reduceat(scores, starts)  # (P,)
    lowest, highest = float(scores.min()), float(scores.max())
    scaled = (best - lowest) / (highest - lowest) if highest > lowest else np.zeros(num_points)
    return Timeline((np.arange(num_points) + 0.5) * duration_s / num_points, scaled, shown)

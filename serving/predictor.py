"""The predictor: sentences in, answers out, over a bundle and the collection it indexed."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corpus.moments import RankedMoment
from corpus.store import Half
from corpus.windows import Window, WindowId
from serving.answering import build_timeline, give_confidence, judge
from serving.answers import Answer, SearchQuery, require_limits, require_query
from serving.bundle import Bundle, load_bundle
from serving.calibration import Calibration
from serving.collection import Collection, IndexedVideo, load_collection
from serving.indexing import EncodedVideo
from serving.milvus.index import MilvusClipIndex
from serving.milvus.place import MilvusPlace
from serving.networks import CellWindows, EncodedText, Networks
from serving.search import ScoredSpans, find_survivors, join_windows, rank_collection, rank_in_video

MAX_QUERIES = 64  # asked at once
ROWS_PER_RUN = 32  # windows that the localizer reads at once: bounds the memory of a search
TIMELINE_CANDIDATES = 20


class _Job(NamedTuple):
    """What the localizer reads at once: a sentence, by its row, and a window."""

    row: int
    cells: Half  # (N, P, D)
    window: Window


class Ranking(NamedTuple):
    """What was localized, and the best moments in it, best first."""

    windows: Sequence[WindowId]
    moments: list[RankedMoment]


class MomentPredictor:
    """Answers sentences; threads may share it.

    A search goes by the collection that was there when it began: `add_video` and `remove_video` put another in its place.
    """

    def __init__(self, bundle: Bundle, collection: Collection, *, num_threads: int = 2) -> None:
        """Answer with verified models over a verified collection; see `load`."""
        self.bundle = bundle
        self._collection = collection
        self._changing = threading.Lock()
        self._networks = Networks(bundle, num_threads=num_threads)

    @classmethod
    def load(
        cls, bundle_dir: Path, index_dir: Path, *, num_threads: int = 2, milvus: MilvusPlace | None = None
    ) -> "MomentPredictor":
        """Verify and open a bundle and its index; the clip vectors are searched in Milvus where it is named.

        Raises:
            FileNotFoundError: when one of them is missing.
            ValueError: when a file is damaged or they do not belong together.
            ConnectionError: when Milvus does not answer.
        """
        bundle = load_bundle(bundle_dir)
        collection = load_collection(index_dir, bundle.manifest)
        if milvus:
            clips = MilvusClipIndex.open(milvus, collection.clips, bundle_version=bundle.version)
            collection = replace(collection, clips=clips)
        return cls(bundle, collection, num_threads=num_threads)

    @property
    def collection(self) -> Collection:
        """What is searched now; it never changes, another takes its place."""
        return self._collection

    def search(self, query: SearchQuery | Sequence[SearchQuery]) -> list[Answer]:
        """Answer sentences over the collection, in their order; several are one batch for the networks.

        Raises:
            KeyError: naming a video of a filter that the collection does not hold.
            ValueError: naming a sentence, limit or number of queries that is out of range.
        """
        queries = [query] if isinstance(query, SearchQuery) else list(query)
        self._require_queries(queries, self.bundle.manifest.calibration.search)
        collection, settings = self._collection, self.bundle.manifest.search
        text = self._encode([one.query for one in queries])
        vectors = self._networks.embed_queries(text)  # (Q, E)
        survivors = [
            find_survivors(vector, collection.clips, settings, video_ids=one.video_ids)
            for vector, one in zip(vectors, queries, strict=True)
        ]
        found = self._localize_survivors(collection, [one.windows for one in survivors], text)
        return [
            judge(
                rank_collection(vectors[row], collection.clips, found[row], settings, top_k=one.top_k),
                one,
                self.bundle.manifest.calibration.search,
                clip_score=survivors[row].clip_score,
                unknown_words=self.find_unknown(one.query),
            )
            for row, one in enumerate(queries)
        ]

    def rank_survivors(self, query: str, *, top_k: int) -> Ranking:
        """Return the windows that the clip index passes on, and their best moments, found or not; to measure the search."""
        collection, text = self._collection, self._encode([query])
        survivors = find_survivors(self._networks.embed_queries(text)[0], collection.clips, self.bundle.manifest.search)
        return self._rank(collection, survivors.windows, text, top_k)

    def rank_videos(self, query: str, video_ids: Sequence[str], *, top_k: int) -> list[RankedMoment]:
        """Return the best moments of some videos, every window of which is localized; to measure the search.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        collection = self._collection
        videos = [collection.find_video(video_id).video_id for video_id in video_ids]
        windows = [WindowId(name, number) for name in videos for number in range(len(collection.windows[name]))]
        return self._rank(collection, windows, self._encode([query]), top_k).moments

    def localize(self, query: str, video_id: str, top_k: int = 5) -> Answer:
        """Answer a sentence in one video of the collection by the localizer alone, with the timeline.

        Raises:
            KeyError: naming an id that the collection does not hold.
            ValueError: as `search`.
        """
        return self._localize_video(SearchQuery(query, top_k), video_id, self._collection.get_encoded(video_id))

    def localize_encoded(self, query: str, encoded: EncodedVideo, top_k: int = 5) -> Answer:
        """Answer a sentence in a video that is not in the collection, as `localize`; its id is empty."""
        return self._localize_video(SearchQuery(query, top_k), "", encoded)

    def add_video(self, video: IndexedVideo, encoded: EncodedVideo) -> None:
        """Put a video into the collection; the next search sees it.

        Raises:
            ValueError: when the collection holds its id already, or it was not encoded by this bundle.
        """
        with self._changing:
            self._collection = self._collection.add(video, encoded, self.bundle.manifest)

    def remove_video(self, video_id: str) -> None:
        """Take a video out of the collection; the next search does not see it.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        with self._changing:
            self._collection = self._collection.remove(video_id)

    def discard_strays(self) -> None:
        """Delete the vectors of videos that are not in the collection, as a killed process may leave them in Milvus."""
        self._collection.clips.discard_strays()

    def find_unknown(self, query: str) -> list[str]:
        """Return the words of a sentence that the models never saw; they add nothing to the search."""
        return self.bundle.tokenizer.find_unknown(query)

    def _require_queries(self, queries: Sequence[SearchQuery], calibration: Calibration | None) -> None:
        if not 1 <= len(queries) <= MAX_QUERIES:
            raise ValueError(f"{len(queries)} queries at once; give 1 to {MAX_QUERIES}")
        for one in queries:
            require_query(one.query)
            require_limits(one)
            if one.min_confidence and calibration is None:
                reasons = "; ".join(self.bundle.manifest.calibration.missing.values())
                raise ValueError(
                    f"min_confidence = {one.min_confidence}: this bundle knows no confidence ({reasons}); use min_score"
                )

    def _encode(self, queries: Sequence[str]) -> EncodedText:
        return self._networks.encode_text(self.bundle.tokenizer.encode(queries))

    def _localize_survivors(
        self, collection: Collection, survivors: Sequence[Sequence[WindowId]], text: EncodedText
    ) -> list[dict[WindowId, ScoredSpans]]:
        pairs = [(row, window) for row, windows in enumerate(survivors) for window in windows]
        found: list[dict[WindowId, ScoredSpans]] = [{} for _ in survivors]
        jobs = [_Job(row, *collection.get_window(window)) for row, window in pairs]
        for (row, window), spans in zip(pairs, self._run(jobs, text), strict=True):
            found[row][window] = spans
        return found

    def _rank(self, collection: Collection, windows: Sequence[WindowId], text: EncodedText, top_k: int) -> Ranking:
        (found,) = self._localize_survivors(collection, [windows], text)
        vector = self._networks.embed_queries(text)[0]
        return Ranking(windows, rank_collection(vector, collection.clips, found, self.bundle.manifest.search, top_k=top_k))

    def _localize_video(self, query: SearchQuery, video_id: str, encoded: EncodedVideo) -> Answer:
        self._require_queries([query], self.bundle.manifest.calibration.localize)
        manifest, num_clips = self.bundle.manifest, len(encoded.vectors)
        text = self._encode([query.query])
        windows = manifest.cut(num_clips, encoded.duration_s)
        jobs = [_Job(0, cells, window) for cells, window in zip(encoded.cells, windows, strict=True)]
        found = join_windows(self._run(jobs, text))
        ranked = rank_in_video(video_id, found, manifest.search, top_k=max(query.top_k, TIMELINE_CANDIDATES))
        clip_score = float((encoded.vectors @ self._networks.embed_queries(text)[0]).max())
        calibration = manifest.calibration.localize
        shown = give_confidence(ranked, calibration, clip_score=clip_score)
        timeline = build_timeline(found, shown, duration_s=encoded.duration_s, num_clips=num_clips)
        unknown_words = self.find_unknown(query.query)
        return judge(ranked, query, calibration, clip_score=clip_score, unknown_words=unknown_words)._replace(timeline=timeline)

    def _run(self, jobs: Sequence[_Job], text: EncodedText) -> list[ScoredSpans]:
        """Localize in batches that bound the memory, whatever the number of jobs."""
        found: list[ScoredSpans] = []
        for start in range(0, len(jobs), ROWS_PER_RUN):
            part = jobs[start : start + ROWS_PER_RUN]
            windows = CellWindows(
                cells=[job.cells for job in part],
                starts_s=np.array([job.window.start_s for job in part]),
                durations_s=np.array([job.window.duration_s for job in part]),
            )
            found += self._networks.localize(windows, text.take([job.row for job in part]))
        return found

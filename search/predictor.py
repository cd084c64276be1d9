"""The predictor: answers sentences with a bundle over the collection that it indexed."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corpus.moments import RankedMoment
from corpus.store import Half
from corpus.windows import Window, WindowId
from search.answers import (
    MAX_QUERIES,
    TIMELINE_CANDIDATES,
    Answer,
    SearchQuery,
    build_timeline,
    give_confidence,
    judge,
    require_limits,
    require_query,
)
from search.bundle import Bundle, load_bundle
from search.collection import Collection, load_collection
from search.contracts import Ranking
from search.indexed_video import IndexedVideo
from search.indexing.video_indexer import EncodedVideo
from search.milvus.address import MilvusAddress
from search.milvus.index import MilvusClipIndex
from search.networks import CellWindows, EncodedText, Networks, embed_bank
from search.presence import CollectionPresence
from search.two_stage import ScoredSpans, find_survivors, join_windows, rank_collection, rank_in_video

ROWS_PER_RUN = 32  # windows that the localizer reads at once: bounds the memory of a search


class _Job(NamedTuple):
    """One input of the localizer: a sentence, by its row, and a window."""

    row: int
    cells: Mapping[str, Half]  # (N, P, D) of each stream
    window: Window


class MomentPredictor:
    """Answers sentences. Thread-safe.

    A search uses the collection that it began with: `add_video` and `remove_video` replace the collection.
    """

    def __init__(self, bundle: Bundle, collection: Collection, *, num_threads: int = 2) -> None:
        """Answer with verified models over a verified collection; see `load`."""
        self.bundle = bundle
        self._collection = collection
        self._changing = threading.Lock()
        self._networks = Networks(bundle, num_threads=num_threads)
        self._assessing = threading.Lock()
        self._presence: tuple[Collection, CollectionPresence] | None = None
        self._embed_bank = cache(partial(embed_bank, bundle, self._networks))  # of indexes that do not have it

    @classmethod
    def load(
        cls, bundle_dir: Path, index_dir: Path, *, num_threads: int = 2, milvus: MilvusAddress | None = None
    ) -> "MomentPredictor":
        """Verify and open a bundle and its index. If `milvus` is given, that server searches the clip vectors.

        Raises:
            FileNotFoundError: when one of them is missing.
            ValueError: when a file is damaged or they do not belong together.
            ConnectionError: when Milvus does not answer.
        """
        bundle = load_bundle(bundle_dir)
        collection = load_collection(index_dir, bundle.manifest, bundle_dir=bundle_dir)
        if milvus:
            clips = MilvusClipIndex.open(milvus, collection.clips, bundle_version=bundle.version)
            collection = replace(collection, clips=clips)
        return cls(bundle, collection, num_threads=num_threads)

    @property
    def collection(self) -> Collection:
        """The current collection. It is immutable; a change replaces it."""
        return self._collection

    def search(self, query: SearchQuery | Sequence[SearchQuery]) -> list[Answer]:
        """Answer sentences over the collection, in their order. The networks run several sentences as one batch.

        Raises:
            KeyError: naming a video of a filter that the collection does not hold.
            ValueError: naming a sentence, limit or number of queries that is out of range.
        """
        queries = [query] if isinstance(query, SearchQuery) else list(query)
        self._require_queries(queries)
        collection, settings = self._collection, self.bundle.manifest.search
        text = self._encode([one.query for one in queries])
        vectors = self._networks.embed_queries(text)  # (Q, E)
        survivors = [
            find_survivors(vector, collection.clips, settings, video_ids=one.video_ids)
            for vector, one in zip(vectors, queries, strict=True)
        ]
        found = self._localize_survivors(collection, [one.windows for one in survivors], text)
        presence, answers = self._assess(collection), []
        for one, vector, passed, spans in zip(queries, vectors, survivors, found, strict=True):
            ranked = rank_collection(vector, collection.clips, spans, settings, top_k=one.top_k)
            said = presence.assess_search(ranked, vector, clip_score=passed.clip_score, video_ids=one.video_ids)
            answers.append(judge(ranked, one, said, unknown_words=self.find_unknown(one.query)))
        return answers

    def rank_survivors(self, query: str, *, top_k: int) -> Ranking:
        """Return the windows that the clip index passes on, and their best moments at any confidence, for measurements."""
        collection, text = self._collection, self._encode([query])
        survivors = find_survivors(self._networks.embed_queries(text)[0], collection.clips, self.bundle.manifest.search)
        return self._rank(collection, survivors.windows, text, top_k)

    def rank_videos(self, query: str, video_ids: Sequence[str], *, top_k: int) -> list[RankedMoment]:
        """Return the best moments of some videos after localizing all their windows, for measurements.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        collection = self._collection
        videos = [collection.find_video(video_id).video_id for video_id in video_ids]
        windows = [window for name in videos for window in collection.list_windows(name)]
        return self._rank(collection, windows, self._encode([query]), top_k).moments

    def localize(self, query: str, video_id: str, top_k: int = 5) -> Answer:
        """Answer a sentence in one video of the collection by the localizer alone, with the timeline.

        Raises:
            KeyError: naming an id that the collection does not hold.
            ValueError: as `search`.
        """
        collection = self._collection
        return self._localize_video(SearchQuery(query, top_k), video_id, collection.get_encoded(video_id), collection)

    def localize_encoded(self, query: str, encoded: EncodedVideo, top_k: int = 5) -> Answer:
        """Answer a sentence in a video outside the collection, like `localize`; its id is empty."""
        return self._localize_video(SearchQuery(query, top_k), "", encoded, self._collection)

    def add_video(self, video: IndexedVideo, encoded: EncodedVideo) -> None:
        """Add a video to the collection; the next search sees it.

        Raises:
            ValueError: when the collection holds its id already, or it was not encoded by this bundle.
        """
        with self._changing:
            self._collection = self._collection.add(video, encoded, self.bundle.manifest)

    def remove_video(self, video_id: str) -> None:
        """Remove a video from the collection; the next search does not see it.

        Raises:
            KeyError: naming an id that the collection does not hold.
        """
        with self._changing:
            self._collection = self._collection.remove(video_id)

    def discard_strays(self) -> None:
        """Delete the vectors of videos outside the collection, which a killed process may leave in Milvus."""
        self._collection.clips.discard_strays()

    def find_unknown(self, query: str) -> list[str]:
        """Return the words of a sentence that the models never saw; they add nothing to the search."""
        return self.bundle.tokenizer.find_unknown(query)

    def _assess(self, collection: Collection) -> CollectionPresence:
        """Return the assessment of a collection's answers; the latest is cached."""
        with self._assessing:
            if self._presence is None or self._presence[0] is not collection:
                is_labelled = collection.media_dir is None  # the videos of a folder are others than those of the labels
                calibrations = self.bundle.manifest.calibration
                kept = collection.bank
                presence = CollectionPresence(
                    collection.clips,
                    calibrations,
                    is_labelled=is_labelled,
                    embed_bank=self._embed_bank if kept is None else lambda: kept,
                )
                self._presence = collection, presence
            return self._presence[1]

    def _require_queries(self, queries: Sequence[SearchQuery]) -> None:
        if not 1 <= len(queries) <= MAX_QUERIES:
            raise ValueError(f"{len(queries)} queries at once; give 1 to {MAX_QUERIES}")
        for one in queries:
            require_query(one.query)
            require_limits(one)

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

    def _localize_video(self, query: SearchQuery, video_id: str, encoded: EncodedVideo, collection: Collection) -> Answer:
        self._require_queries([query])
        manifest, num_clips = self.bundle.manifest, len(encoded.vectors)
        text = self._encode([query.query])
        cells = encoded.cut(manifest)
        jobs = [_Job(0, *cells.get(number)) for number in range(len(cells.windows))]
        found = join_windows(self._run(jobs, text))
        ranked = rank_in_video(video_id, found, manifest.search, top_k=max(query.top_k, TIMELINE_CANDIDATES))
        vector = self._networks.embed_queries(text)[0]
        clip_score = float((encoded.vectors @ vector).max())
        said = self._assess(collection).assess_video(ranked, vector, video_id=video_id, clip_score=clip_score)
        shown = give_confidence(ranked, said)
        timeline = build_timeline(found, shown, duration_s=encoded.duration_s, num_clips=num_clips)
        return judge(ranked, query, said, unknown_words=self.find_unknown(query.query))._replace(timeline=timeline)

    def _run(self, jobs: Sequence[_Job], text: EncodedText) -> list[ScoredSpans]:
        """Localize in batches, which bound the memory for any number of jobs."""
        found: list[ScoredSpans] = []
        for start in range(0, len(jobs), ROWS_PER_RUN):
            part = jobs[start : start + ROWS_PER_RUN]
            windows = CellWindows(
                cells={name: [job.cells[name] for job in part] for name in self.bundle.manifest.localizer_streams},
                starts_s=np.array([job.window.start_s for job in part]),
                durations_s=np.array([job.window.duration_s for job in part]),
            )
            found += self._networks.localize(windows, text.take([job.row for job in part]))
        return found

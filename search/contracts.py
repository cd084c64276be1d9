"""Interfaces that every kind of search offers: bundle, indexer, cache, collection and predictor.

An encoded video is `Any` here: it passes only from an indexer to the cache and the predictor of the same kind.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from corpus.moments import RankedMoment
from corpus.windows import WindowId
from search.answers import Answer, SearchQuery
from search.indexed_video import IndexedVideo
from search.indexing.unfinished import UnfinishedFile
from search.model_name import ModelName


class Entry(NamedTuple):
    """A video with its entry in the index."""

    video: IndexedVideo
    encoded: Any


class Ranking(NamedTuple):
    """What was localized, and the best moments in it, best first."""

    windows: Sequence[WindowId]
    moments: list[RankedMoment]


class SearchBundle(Protocol):
    """Verified models in a folder."""

    @property
    def folder(self) -> Path:
        """Where they lie."""

    @property
    def version(self) -> str:
        """The hash of everything that decides an answer."""

    @property
    def model(self) -> ModelName:
        """The name of the models for people."""

    @property
    def good_for(self) -> str:
        """A sentence about what the models find and what they do not; empty if none was written."""

    @property
    def can_encode(self) -> bool:
        """Tell whether the models encode videos: some read features that came from files."""

    @property
    def encoding(self) -> str:
        """The hash of everything that decides the encoding of a video. Bundles with equal hashes share encoded videos."""

    def require_encoder(self) -> None:
        """Refuse models that cannot encode videos, with a `ValueError` that says why."""


class VideoEncoder(Protocol):
    """Encodes files for the index."""

    def encode_file(self, path: Path, *, report: Callable[[float], None], unfinished: UnfinishedFile | None = None) -> Any:
        """Return the encoded video of a file, with its `duration_s`, `num_clips` and `notes`.

        Rows that a killed process left in `unfinished` are not encoded again; the bytes are those of a single run.
        """


class EncodedVideos(Protocol):
    """Keeps encoded videos by the content of their files; see `search.indexing.encoded_cache`."""

    def find_reason(self, sha256: str) -> str:
        """Return the recorded reason why a file cannot be encoded, empty without a record."""

    def load(self, sha256: str) -> Any | None:
        """Return the encoded video of a file, `None` if it is missing or damaged."""

    def open_unfinished(self, sha256: str) -> UnfinishedFile:
        """Return the part of a file that a killed process encoded."""

    def save(self, sha256: str, encoded: Any) -> None:
        """Keep an encoded video."""

    def save_reason(self, sha256: str, reason: str) -> None:
        """Keep why a file cannot be encoded."""

    def remove(self, sha256: str) -> None:
        """Forget a file."""

    def keep_only(self, kept: Collection[str]) -> None:
        """Forget all other files."""

    def remove_others(self, kept: Collection[str]) -> None:
        """Forget all other files, and what other models encoded."""


class VideoCollection(Protocol):
    """Searchable videos. The collection is immutable; changes return a new one."""

    @property
    def corpus(self) -> str:
        """The name of the corpus or of the folder that was indexed."""

    @property
    def media_dir(self) -> Path | None:
        """The folder that was indexed, None for a corpus."""

    @property
    def videos(self) -> Mapping[str, IndexedVideo]:
        """The videos by id."""

    def find_video(self, video_id: str) -> IndexedVideo:
        """Return a video, or raise a `KeyError` that names the id."""

    def list_windows(self, video_id: str) -> list[WindowId]:
        """Return the windows of a video, in order."""


class Predictor(Protocol):
    """Answers sentences over a collection; threads may share it."""

    @property
    def bundle(self) -> SearchBundle:
        """The models."""

    @property
    def collection(self) -> VideoCollection:
        """The present collection."""

    def search(self, query: SearchQuery | Sequence[SearchQuery]) -> list[Answer]:
        """Answer sentences over the collection, in their order."""

    def localize(self, query: str, video_id: str, top_k: int = 5) -> Answer:
        """Answer a sentence in one video of the collection, with the timeline."""

    def localize_encoded(self, query: str, encoded: Any, top_k: int = 5) -> Answer:
        """Answer a sentence in a video that is not in the collection; its id is empty."""

    def rank_survivors(self, query: str, *, top_k: int) -> Ranking:
        """Return the windows that a search reads in full, and their best moments. For measurements of the search."""

    def rank_videos(self, query: str, video_ids: Sequence[str], *, top_k: int) -> list[RankedMoment]:
        """Return the best moments of some videos, read in full. For measurements of the search."""

    def add_video(self, video: IndexedVideo, encoded: Any) -> None:
        """Put a video into the collection; the next search sees it."""

    def remove_video(self, video_id: str) -> None:
        """Take a video out of the collection; the next search does not see it."""

    def discard_strays(self) -> None:
        """Delete the remains of videos outside the collection, which a killed process left."""

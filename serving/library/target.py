"""Target of the library's changes: the collection that a new or deleted video is applied to."""

from typing import Any, Protocol

from search.contracts import SearchBundle, VideoCollection
from search.indexed_video import IndexedVideo


class SearchTarget(Protocol):
    """Models and the collection that they search, as `search.contracts.Predictor` offers them."""

    @property
    def bundle(self) -> SearchBundle:
        """The models that encode videos."""

    @property
    def collection(self) -> VideoCollection:
        """The current collection."""

    def add_video(self, video: IndexedVideo, encoded: Any) -> None:
        """Add a video to the collection."""

    def remove_video(self, video_id: str) -> None:
        """Remove a video from the collection."""

    def discard_strays(self) -> None:
        """Delete the vectors of videos that are not in the collection."""

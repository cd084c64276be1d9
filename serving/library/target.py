"""What the library changes when a video comes or goes."""

from typing import Protocol

from serving.bundle import Bundle
from serving.collection import Collection, IndexedVideo
from serving.indexing import EncodedVideo


class SearchTarget(Protocol):
    """Models and the collection that they search, as `serving.predictor.MomentPredictor` offers them."""

    @property
    def bundle(self) -> Bundle:
        """The models that encode videos."""

    @property
    def collection(self) -> Collection:
        """What is searched now."""

    def add_video(self, video: IndexedVideo, encoded: EncodedVideo) -> None:
        """Put a video into the collection."""

    def remove_video(self, video_id: str) -> None:
        """Take a video out of the collection."""

    def discard_strays(self) -> None:
        """Delete the vectors of videos that are not in the collection."""

"""Names of videos in users' annotations: with or without suffix, as a name or a path."""

from collections.abc import Callable

from corpus.names import unify
from corpus.readers.base import VIDEOS


class VideoNames:
    """Converter from names of videos to ids. A path stands for the file at its end, in the folder `videos/`.

    Paths in different folders with the same file name would be one video, so they are refused.
    """

    def __init__(self, name_video: Callable[[str], str]) -> None:
        """Store the reader's rule that makes an id from a file name."""
        self._name_video = name_video
        self._folders: dict[str, tuple[str, str]] = {}  # by id: the folder of its paths, and the first path

    def find_id(self, name: str) -> str:
        """Return the id of a video.

        Raises:
            ValueError: when a path names no file, or a path in another folder has the same file name.
        """
        folder, _, file_name = unify(name.strip()).replace("\\", "/").rpartition("/")
        if not file_name:
            raise ValueError(f"the path {name!r} names no file; write the name of a video in {VIDEOS}/")
        folder = folder.removeprefix("./")
        video_id = self._name_video(file_name)
        if not folder or folder == VIDEOS:
            return video_id
        known, path = self._folders.setdefault(video_id, (folder, name))
        if known != folder:
            raise ValueError(
                f"{path!r} and {name!r} would both be the video {video_id!r}: folders do not count; "
                f"give the files different names in {VIDEOS}/, and use these"
            )
        return video_id

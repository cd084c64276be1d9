"""Which files are videos, by their names."""

from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"}
    | {".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)


def is_video_name(path: Path) -> bool:
    """Tell whether a file has the suffix of a video and is not hidden: other files beside videos are passed over."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")

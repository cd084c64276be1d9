"""Matching of annotated videos with video files. Errors name the differences and the remedy."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from corpus.annotations import name_some
from corpus.names import VIDEO_SUFFIXES, fold_name
from corpus.readers.base import VIDEOS, VideoFiles
from corpus.records import Query
from corpus.video_files import describe_passed_over


def match_files(found: VideoFiles, queries: Sequence[Query], root: Path) -> dict[str, str]:
    """Return the path of each video, relative to the corpus folder, by the id in the annotations.

    A file with an unknown suffix, such as `dog.xyz`, has its whole name as id. It also matches the video `dog` if the
    annotations name that and no other file has that name.

    Raises:
        ValueError: when there are no videos, or naming annotated videos without a file.
    """
    if not found.paths:
        seen = describe_passed_over(found.passed_over)
        there = f" ({seen})" if seen else ""
        raise ValueError(
            f"{root / VIDEOS} holds no video files{there}; put them there as videos/<vid>.mp4 (or another video suffix)"
        )
    named = {query.video_id for query in queries}
    others = {video_id for query in queries for video_id in query.elsewhere}
    paths = _adopt_names(found.paths, named | others)
    if missing := sorted(named - paths.keys()):
        raise ValueError(
            f"{len(missing)} annotated videos have no file in {root / VIDEOS}: {name_some(missing)}; "
            f"put them there as <vid>.mp4 (or another video suffix), or remove their rows{_find_hint(missing, paths, found)}"
        )
    if unknown := sorted(others - paths.keys()):
        raise ValueError(
            f'"elsewhere" names videos without a file in {root / VIDEOS}: {name_some(unknown)}; correct their ids'
            f"{_find_hint(unknown, paths, found)}"
        )
    return paths


def _adopt_names(paths: dict[str, str], named: set[str]) -> dict[str, str]:
    """Give files with an unknown suffix the id in the annotations, if it is unambiguous."""
    adopted: dict[str, list[str]] = {}
    for video_id, path in paths.items():
        name = PurePosixPath(path)
        if video_id not in named and name.suffix and name.suffix.lower() not in VIDEO_SUFFIXES:
            adopted.setdefault(video_id.removesuffix(name.suffix), []).append(video_id)
    ids = {old[0]: new for new, old in adopted.items() if new in named and new not in paths and len(old) == 1}
    return {ids.get(video_id, video_id): path for video_id, path in paths.items()}


def _find_hint(missing: Iterable[str], paths: Iterable[str], found: VideoFiles) -> str:
    """Return a hint for the first missing id that has one: a name in another case, or a file that is not a video."""
    by_case = {fold_name(video_id): video_id for video_id in paths}
    for video_id in missing:
        if other := by_case.get(fold_name(video_id)):
            return f"; {other!r} is there: capital and small letters count in the name {video_id!r}"
        for one in found.passed_over:
            if one.name == video_id or one.name.startswith(f"{video_id}."):
                return f"; the file {one} is not a video"
    return ""

"""Survey of feature files: checks the features of every video before use, and names the videos without usable features."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from corpus.annotations import name_some
from corpus.feature_files.archive import FeatureArchive
from corpus.feature_files.arrays import FeatureFault

MAX_EXCESS_ROWS = 2  # at a fixed clip rate, a video may have this many rows too many or too few,
MAX_EXCESS_SHARE = 0.05  # or this share of them


class SurveyedVideo(NamedTuple):
    """The facts of a video that its features tell."""

    duration_s: float
    sha256: str  # of its arrays


class Survey(NamedTuple):
    """Surveyed videos by id, and the videos with unusable features by kind of fault."""

    videos: dict[str, SurveyedVideo]
    faults: dict[str, list[str]]

    @property
    def num_videos(self) -> int:
        """The number of surveyed videos."""
        return len(self.videos) + sum(map(len, self.faults.values()))


def survey_features(archive: FeatureArchive, videos: Iterable[tuple[str, float | None]]) -> Survey:
    """Read the features of videos. `videos` gives ids with the annotated duration in seconds, if there is one.

    Without a duration, the number of rows and the fixed clip rate give the length.
    """
    found: dict[str, SurveyedVideo] = {}
    faults: dict[str, list[str]] = defaultdict(list)
    for video_id, annotated_s in videos:
        try:
            stored = archive.read(video_id)
            duration_s = _find_duration(stored.num_rows, annotated_s, archive.params.clip_rate_hz)
        except FeatureFault as fault:
            faults[fault.kind].append(f"{video_id} ({fault.detail})")
        else:
            found[video_id] = SurveyedVideo(duration_s, stored.compute_sha256())
    return Survey(found, dict(faults))


def merge_surveys(surveys: Iterable[Survey]) -> dict[str, SurveyedVideo]:
    """Return the videos of all surveys, sorted by id.

    Raises:
        ValueError: naming, by kind of fault, the videos whose features are missing or cannot be used.
    """
    found: dict[str, SurveyedVideo] = {}
    faults: dict[str, list[str]] = defaultdict(list)
    for survey in surveys:
        found |= survey.videos
        for kind, names in survey.faults.items():
            faults[kind] += names
    if faults:
        num_faults = sum(map(len, faults.values()))
        lines = [f"{kind} ({len(names)} videos): {name_some(sorted(names))}" for kind, names in sorted(faults.items())]
        raise ValueError(
            f"the features of {num_faults} of {num_faults + len(found)} annotated videos cannot be used:\n"
            + "\n".join(lines)
            + "\nadd or correct them, correct the preset of features, or remove the rows of these videos from the annotations"
        )
    return dict(sorted(found.items()))


def _find_duration(num_rows: int, annotated_s: float | None, clip_rate_hz: float | None) -> float:
    if annotated_s is None:
        if clip_rate_hz is None:
            raise FeatureFault("of unknown duration", "neither the annotations give a duration nor the preset a clip_rate_hz")
        return num_rows / clip_rate_hz
    expected = annotated_s * (clip_rate_hz or num_rows / annotated_s)
    if abs(num_rows - expected) > max(MAX_EXCESS_ROWS, MAX_EXCESS_SHARE * expected):
        raise FeatureFault(
            "of another duration",
            f"{num_rows} rows at {clip_rate_hz:g} per second, but the annotated duration is {annotated_s:g} s",
        )
    return annotated_s

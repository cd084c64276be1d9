"""Looks at the features that a corpus brings in files, as `probing` looks at its videos."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from corpus.feature_files.archive import FeatureArchive
from corpus.feature_files.schema import FeatureFilesParams
from corpus.feature_files.survey import Survey, SurveyedVideo, merge_surveys, survey_features
from corpus.media import MediaInfo
from corpus.readers.base import ReadResult
from stages.support.machine import map_in_processes
from stages.support.probing import Probe

_VIDEOS_PER_JOB = 64


def probe_features(root: Path, files: FeatureFilesParams, annotations: ReadResult) -> dict[str, Probe]:
    """Read the features of every annotated video in worker processes: its duration and the hash of its arrays, by id.

    What only a video file could tell stays empty or 0.

    Raises:
        FileNotFoundError: naming a file of all videos that is not there.
        ValueError: naming, by kind of fault, the videos whose features are missing or cannot be used.
    """
    FeatureArchive(root, files).close()  # what is wrong with a file of all videos is said once
    video_ids = sorted({name for query in annotations.queries for name in (query.video_id, *query.elsewhere)})
    videos = [(video_id, annotations.durations_s.get(video_id)) for video_id in video_ids]
    jobs = [videos[start : start + _VIDEOS_PER_JOB] for start in range(0, len(videos), _VIDEOS_PER_JOB)]
    surveys: list[Survey] = []
    with tqdm(total=len(videos), desc="features", unit="video") as bar:
        for survey in map_in_processes(partial(_survey, root=root, files=files), jobs, what="read features"):
            surveys.append(survey)
            bar.update(survey.num_videos)
    return {video_id: _describe(root, video) for video_id, video in merge_surveys(surveys).items()}


def _survey(videos: Sequence[tuple[str, float | None]], *, root: Path, files: FeatureFilesParams) -> Survey:
    with FeatureArchive(root, files) as archive:
        return survey_features(archive, videos)


def _describe(root: Path, video: SurveyedVideo) -> Probe:
    info = MediaInfo(
        duration_s=video.duration_s,
        fps=0.0,
        num_frames=0,
        width=0,
        height=0,
        rotation=0,
        codec="",
        has_audio=False,
        frame_rate="",
        audio_codec="",
        audio_rate_hz=0,
        audio_channels=0,
    )
    return Probe(root, video.sha256, info)

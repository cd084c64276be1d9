"""Probing of a corpus's feature files; `probing` does the same for videos."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from corpus.feature_files.archive import FeatureArchive
from corpus.feature_files.schema import FeatureFilesParams
from corpus.feature_files.survey import Survey, merge_surveys, survey_features
from corpus.media_info import MediaInfo, Probe
from corpus.readers.base import ReadResult
from pipeline.executors.machine import map_in_processes

_VIDEOS_PER_JOB = 64


def probe_features(root: Path, files: FeatureFilesParams, annotations: ReadResult) -> dict[str, Probe]:
    """Read the features of every annotated video in worker processes: its duration and the hash of its arrays, by id.

    Properties that only a video file has are None.

    Raises:
        FileNotFoundError: naming a missing file that should hold all videos.
        ValueError: naming, by kind of fault, the videos whose features are missing or unusable.
    """
    FeatureArchive(root, files).close()  # reports an error of a file with all videos once
    video_ids = sorted({name for query in annotations.queries for name in (query.video_id, *query.elsewhere)})
    videos = [(video_id, annotations.durations_s.get(video_id)) for video_id in video_ids]
    jobs = [videos[start : start + _VIDEOS_PER_JOB] for start in range(0, len(videos), _VIDEOS_PER_JOB)]
    surveys: list[Survey] = []
    with tqdm(total=len(videos), desc="features", unit="video") as bar:
        for survey in map_in_processes(partial(_survey, root=root, files=files), jobs, what="read features"):
            surveys.append(survey)
            bar.update(survey.num_videos)
    return {
        video_id: Probe(root, video.sha256, MediaInfo(duration_s=video.duration_s))
        for video_id, video in merge_surveys(surveys).items()
    }


def _survey(videos: Sequence[tuple[str, float | None]], *, root: Path, files: FeatureFilesParams) -> Survey:
    with FeatureArchive(root, files) as archive:
        return survey_features(archive, videos)

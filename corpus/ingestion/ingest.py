"""Ingestion of a corpus: reads annotations, matches them with files or features, splits by video, and checks the result."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from corpus.annotations import MAX_EXCESS_S, correct_frame_rates, fit_moments, keep_elsewhere_in_split, name_some
from corpus.ingestion.ingested import Ingested, QuarantinedVideo
from corpus.ingestion.params import IngestParams
from corpus.media_info import MediaInfo, Probe
from corpus.readers.base import Reader, ReadResult, RowNote
from corpus.readers.parsing.video_matching import match_files
from corpus.records import Corpus, Query, Video
from corpus.splits import assign_splits, leave_out_reannotated, require_no_leak, require_one_split
from corpus.video_files import PassedOver

ProbeFiles = Callable[[Sequence[Path]], Iterable[Probe]]  # a probe of every file, in any order
ProbeFeatures = Callable[[ReadResult], Mapping[str, Probe]]  # a probe of every annotated video, by its id


class _Sources(NamedTuple):
    """The probes and the paths below the corpus folder, both by video id."""

    probes: Mapping[str, Probe]
    files: Mapping[str, str]
    passed_over: tuple[PassedOver, ...] = ()


def ingest_videos(root: Path, reader: Reader, params: IngestParams, *, probe: ProbeFiles) -> Ingested:
    """Read, probe, split and check a corpus of annotations and videos.

    A moment that ends slightly after its video is clipped. An undecodable video goes into quarantine with its queries.
    Videos without queries join the collection in the split `unlabelled`.

    Raises:
        ValueError: naming the rows, files or videos at fault and the remedy.
    """
    annotations = _read(root, reader)
    found = reader.find_videos(root)
    files = match_files(found, annotations.queries, root)
    video_ids = {root / path: video_id for video_id, path in files.items()}
    probes = {video_ids[one.path]: one for one in probe(list(video_ids))}
    return _assemble(root, annotations, _Sources(probes, files, found.passed_over), reader, params)


def ingest_features(root: Path, reader: Reader, params: IngestParams, *, probe: ProbeFeatures) -> Ingested:
    """Read, probe, split and check a corpus of annotations and features, without video files.

    Raises:
        ValueError: naming the rows or videos at fault and the remedy.
    """
    annotations = _read(root, reader)
    return _assemble(root, annotations, _Sources(probe(annotations), files={}), reader, params)


def _read(root: Path, reader: Reader) -> ReadResult:
    annotations = reader.read(root)
    kept, notes = leave_out_reannotated(annotations.queries, annotations.rows, reader.reannotated)
    require_one_split(kept)
    return replace(annotations, queries=tuple(kept), dropped=(*annotations.dropped, *notes))


def _assemble(root: Path, annotations: ReadResult, sources: _Sources, reader: Reader, params: IngestParams) -> Ingested:
    quarantine = _quarantine(sources, annotations.queries, max_share=params.max_quarantine_share)
    infos = {video_id: probe.info for video_id, probe in sorted(sources.probes.items()) if probe.info}
    fitted, clipped = _fit(_find_usable(root, annotations.queries, infos, quarantine), annotations.rows, infos, reader)
    splits = assign_splits(
        fitted,
        {video_id: sources.probes[video_id].sha256 for video_id in infos},
        validation_share=params.validation_share,
        test_share=params.test_share,
        gate_share=params.gate_share,
        seed=params.seed,
    )
    queries, pruned = keep_elsewhere_in_split(fitted, splits, annotations.rows)
    videos = tuple(_build_video(video_id, info, splits[video_id], sources) for video_id, info in infos.items())
    require_no_leak(videos)
    return Ingested(
        Corpus(videos, tuple(queries)),
        quarantine,
        dropped=(*annotations.dropped, *_note_quarantined(quarantine, annotations.rows), *pruned),
        clipped=(*annotations.clipped, *clipped),
        differing_durations=_compare_durations(annotations.durations_s, infos),
        passed_over=sources.passed_over,
    )


def _build_video(video_id: str, info: MediaInfo, split: str, sources: _Sources) -> Video:
    path, sha256 = sources.files.get(video_id), sources.probes[video_id].sha256
    return Video(video_id=video_id, path=path, split=split, sha256=sha256, **asdict(info))


def _quarantine(sources: _Sources, queries: Sequence[Query], *, max_share: float) -> tuple[QuarantinedVideo, ...]:
    found = tuple(
        QuarantinedVideo(
            video_id,
            sources.files[video_id],
            probe.reason,
            tuple(query.qid for query in queries if query.video_id == video_id),
        )
        for video_id, probe in sorted(sources.probes.items())
        if probe.info is None
    )
    allowed = max(1, int(max_share * len(sources.probes)))
    if len(found) > allowed:
        reasons = name_some((f"{video.path}: {video.reason}" for video in found), separator="\n")
        raise ValueError(
            f"{len(found)} of {len(sources.probes)} videos cannot be decoded, at most {allowed} may fail:\n{reasons}\n"
            "replace or remove these files, or raise ingest.max_quarantine_share in params.yaml"
        )
    return found


def _note_quarantined(quarantine: Sequence[QuarantinedVideo], rows: Mapping[str, str]) -> list[RowNote]:
    return [
        RowNote(rows[qid], qid, f"the video {video.video_id!r} is in quarantine") for video in quarantine for qid in video.qids
    ]


def _find_usable(
    root: Path, queries: Sequence[Query], infos: Mapping[str, MediaInfo], quarantine: Sequence[QuarantinedVideo]
) -> list[Query]:
    usable = [query for query in queries if query.video_id in infos]
    if not usable:
        reasons = name_some(f"{video.path}: {video.reason}" for video in quarantine)
        raise ValueError(f"empty corpus: no query of {root} has a video that can be decoded ({reasons}); replace these files")
    return usable


def _fit(
    queries: Sequence[Query], rows: Mapping[str, str], infos: Mapping[str, MediaInfo], reader: Reader
) -> tuple[list[Query], list[RowNote]]:
    """Check the moments against the lengths of the videos. If a format counts frames, correct the frame rate first."""
    if reader.assumed_fps:
        fps = {video_id: info.fps or reader.assumed_fps for video_id, info in infos.items()}
        queries = correct_frame_rates(queries, fps, assumed_fps=reader.assumed_fps)
    durations_s = {video_id: info.duration_s for video_id, info in infos.items()}
    return fit_moments(queries, durations_s, rows, granularity_s=reader.granularity_s)


def _compare_durations(annotated_s: Mapping[str, float], infos: Mapping[str, MediaInfo]) -> dict[str, tuple[float, float]]:
    return {
        video_id: (expected_s, infos[video_id].duration_s)
        for video_id, expected_s in sorted(annotated_s.items())
        if video_id in infos and abs(expected_s - infos[video_id].duration_s) > MAX_EXCESS_S
    }

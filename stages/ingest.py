"""DVC stage `ingest`: data/raw/<corpus>/ -> data/corpus/ (videos, queries, quarantine, summary).

With --summary it only counts annotations: python -m stages.ingest --summary --reader charades_sta --root DIR.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from corpus.annotations import (
    MAX_EXCESS_S,
    correct_frame_rates,
    fit_moments,
    keep_elsewhere_in_split,
    name_some,
    summarize_annotations,
)
from corpus.feature_files.schema import FeatureFilesParams
from corpus.files import write_json, write_jsonl
from corpus.isolation import Budget
from corpus.media import MediaInfo
from corpus.readers import build_reader, list_readers
from corpus.readers.base import Reader, ReadResult, RowNote
from corpus.records import TEST, Corpus, Query, Video, save_corpus
from corpus.splits import assign_splits, leave_out_reannotated, require_no_leak, require_one_split
from stages.support import paths
from stages.support.components import load_features
from stages.support.entry import run_main, run_stage
from stages.support.feature_probing import probe_features
from stages.support.machine import count_workers
from stages.support.params import IngestParams, load_params
from stages.support.probing import PROBE_BUDGET, Probe, probe_files


@dataclass(frozen=True, slots=True)
class QuarantinedVideo:
    """A video that cannot be decoded, and the queries that went with it."""

    video_id: str
    path: str
    reason: str
    qids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ingested:
    """The usable corpus, and everything that is not in it or was changed.

    `differing_durations` maps videos whose annotated length is more than a second off to (annotated, probed) seconds.
    """

    corpus: Corpus
    quarantine: tuple[QuarantinedVideo, ...]
    dropped: tuple[RowNote, ...]
    clipped: tuple[RowNote, ...]
    differing_durations: Mapping[str, tuple[float, float]]


def ingest(
    root: Path,
    reader: Reader,
    params: IngestParams,
    *,
    cache_dir: Path,
    features: FeatureFilesParams | None = None,
    budget: Budget = PROBE_BUDGET,
) -> Ingested:
    """Read, probe, split and check a corpus; nothing is written but the cache of probes.

    A moment that ends slightly after its video is clipped. A video that cannot be decoded is left out with its queries.
    Videos without queries join the collection in the split `unlabelled`. With `features`, these files are read instead of
    videos.

    Raises:
        ValueError: naming the rows, files or videos at fault and what to do.
    """
    annotations = _read(root, reader)
    if features and features.streams:
        probes = probe_features(root, features, annotations)
        files = dict.fromkeys(probes, "")
    else:
        files = _find_files(root, reader, annotations.queries)
        probes = _probe(root, files, cache_dir=cache_dir, budget=budget)
    quarantine = _quarantine(files, probes, annotations.queries, max_share=params.max_quarantine_share)
    infos = {video_id: probe.info for video_id, probe in sorted(probes.items()) if probe.info}
    fitted, clipped = _fit(_find_usable(root, annotations.queries, infos, quarantine), annotations.rows, infos, reader)
    splits = assign_splits(
        fitted,
        {video_id: probes[video_id].sha256 for video_id in infos},
        validation_share=params.validation_share,
        test_share=params.test_share,
        seed=params.seed,
    )
    queries, pruned = keep_elsewhere_in_split(fitted, splits, annotations.rows)
    videos = tuple(
        Video(video_id, files[video_id], splits[video_id], sha256=probes[video_id].sha256, **asdict(info))
        for video_id, info in infos.items()
    )
    require_no_leak(videos)
    dropped = (*annotations.dropped, *_note_quarantined(quarantine, annotations.rows), *pruned)
    differing = _compare_durations(annotations.durations_s, infos)
    return Ingested(Corpus(videos, tuple(queries)), quarantine, dropped, (*annotations.clipped, *clipped), differing)


def save_ingested(found: Ingested, folder: Path, *, corpus: str, reader: str) -> None:
    """Write the corpus, its quarantine and its summary."""
    save_corpus(found.corpus, folder)
    write_jsonl(folder / "quarantine.jsonl", map(asdict, found.quarantine))
    write_json(folder / "summary.json", {"corpus": corpus, "reader": reader, **summarize(found)})


def summarize(found: Ingested) -> dict[str, Any]:
    """Count what was found, and list by row what was dropped or clipped."""
    parts = {split: found.corpus.of_split(split) for split in found.corpus.splits}
    return {
        "splits": {
            split: {
                "videos": len(part.videos),
                "queries": len(part.queries),
                "seconds": round(sum(video.duration_s for video in part.videos), 3),
            }
            for split, part in parts.items()
        },
        "videos_with_sound": sum(video.has_audio for video in found.corpus.videos),
        "quarantined": [{"video_id": video.video_id, "reason": video.reason} for video in found.quarantine],
        "dropped": [note.to_json() for note in found.dropped],
        "clipped": [note.to_json() for note in found.clipped],
        "differing_durations": {
            video_id: {"annotated_s": annotated_s, "probed_s": probed_s}
            for video_id, (annotated_s, probed_s) in found.differing_durations.items()
        },
    }


def _read(root: Path, reader: Reader) -> ReadResult:
    annotations = reader.read(root)
    kept, notes = leave_out_reannotated(annotations.queries, annotations.rows, reader.reannotated)
    require_one_split(kept)
    return replace(annotations, queries=tuple(kept), dropped=(*annotations.dropped, *notes))


def _find_files(root: Path, reader: Reader, queries: Sequence[Query]) -> dict[str, str]:
    files = reader.find_videos(root)
    if not files:
        raise ValueError(f"{root / 'videos'} holds no video files; put them there as videos/<vid>.mp4 (or another video suffix)")
    missing = sorted({query.video_id for query in queries} - files.keys())
    if missing:
        raise ValueError(
            f"{len(missing)} annotated videos have no file in {root / 'videos'}: {name_some(missing)}; "
            "put them there as <vid>.mp4 (or another video suffix), or remove their rows"
        )
    unknown = sorted({video_id for query in queries for video_id in query.elsewhere} - files.keys())
    if unknown:
        raise ValueError(f'"elsewhere" names videos without a file in {root / "videos"}: {name_some(unknown)}; correct their ids')
    return files


def _probe(root: Path, files: Mapping[str, str], *, cache_dir: Path, budget: Budget) -> dict[str, Probe]:
    video_ids = {root / path: video_id for video_id, path in files.items()}
    found = probe_files(list(video_ids), cache_dir=cache_dir / "probes", num_workers=count_workers(), budget=budget)
    return {video_ids[probe.path]: probe for probe in tqdm(found, total=len(files), desc="ingest", unit="video")}


def _quarantine(
    files: Mapping[str, str], probes: Mapping[str, Probe], queries: Sequence[Query], *, max_share: float
) -> tuple[QuarantinedVideo, ...]:
    found = tuple(
        QuarantinedVideo(
            video_id, files[video_id], probe.reason, tuple(query.qid for query in queries if query.video_id == video_id)
        )
        for video_id, probe in sorted(probes.items())
        if probe.info is None
    )
    allowed = max(1, int(max_share * len(files)))
    if len(found) > allowed:
        reasons = name_some((f"{video.path}: {video.reason}" for video in found), separator="\n")
        raise ValueError(
            f"{len(found)} of {len(files)} videos cannot be decoded, {allowed} may be:\n{reasons}\n"
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
    """Hold the moments against the files: their frame rate, where a format counts frames, and their length."""
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


def main() -> None:
    """Read params and paths, ingest, write, and print what was found."""
    params = load_params()
    reader = build_reader(params.corpus.reader)
    root = paths.RAW / params.corpus.name
    features = load_features(params.corpus.features)
    found = ingest(root, reader, params.ingest, cache_dir=paths.find_cache_dir(), features=features)
    save_ingested(found, paths.CORPUS, corpus=params.corpus.name, reader=params.corpus.reader)
    for split, counts in summarize(found)["splits"].items():
        print(f"{split}: {counts['videos']} videos, {counts['queries']} queries, {counts['seconds'] / 60:.1f} minutes")
    if TEST not in found.corpus.splits:
        print(f"no split {TEST!r} is published; to score another one: -S evaluate.split=val")
    for video in found.quarantine:
        print(f"quarantine: {video.path}: {video.reason}; {len(video.qids)} queries left out")
    if found.dropped or found.clipped or found.differing_durations:
        rows = f"{len(found.dropped)} rows dropped or shortened, {len(found.clipped)} clipped"
        print(f"{rows}, {len(found.differing_durations)} videos of another length: see {paths.CORPUS / 'summary.json'}")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.ingest",
        description="Without options: the pipeline stage, on the corpus of params.yaml. "
        "With --summary: count the annotations of a corpus; its videos are not needed, and nothing is written.",
    )
    parser.add_argument("--summary", action="store_true", help="print counts per published split and dropped rows as JSON")
    parser.add_argument("--reader", help=f"one of {', '.join(list_readers())} (default: corpus.reader of params.yaml)")
    parser.add_argument("--root", type=Path, help="folder of the annotations (default: data/raw/<corpus.name of params.yaml>)")
    options = parser.parse_args(arguments)
    if not options.summary and (options.reader or options.root):
        parser.error("--reader and --root need --summary; the stage itself reads params.yaml")
    return options


def print_summary(reader_name: str | None, root: Path | None) -> None:
    """Print as JSON what the annotations hold, before anything is held out."""
    if reader_name is None or root is None:
        corpus = load_params().corpus
        reader_name, root = reader_name or corpus.reader, root or paths.RAW / corpus.name
    reader = build_reader(reader_name)
    summary = summarize_annotations(reader.read(root))
    assumed = {"assumed_fps": reader.assumed_fps} if reader.assumed_fps else {}
    print(json.dumps({"reader": reader_name, "root": str(root), **assumed, **summary}, indent=2))


if __name__ == "__main__":
    options = parse_arguments()
    if options.summary:
        run_main(partial(print_summary, options.reader, options.root), name="ingest")
    else:
        run_stage(main, name="ingest")

"""DVC stage `ingest`: data/raw/<corpus>/ -> data/corpus/ (videos, queries, quarantine, summary)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from corpus.annotations import MAX_EXCESS_S, fit_moments, keep_elsewhere_in_split, name_some
from corpus.files import write_json, write_jsonl
from corpus.isolation import Budget
from corpus.readers import build_reader
from corpus.readers.base import Reader, ReadResult, RowNote
from corpus.records import Corpus, Query, Video, save_corpus
from corpus.splits import assign_splits, require_no_leak
from stages.support import paths
from stages.support.entry import run_stage
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


def ingest(root: Path, reader: Reader, params: IngestParams, *, cache_dir: Path, budget: Budget = PROBE_BUDGET) -> Ingested:
    """Read, probe, split and check a corpus; nothing is written but the cache of probes.

    A moment that ends slightly after its video is clipped. A video that cannot be decoded is left out with its queries.
    Videos without queries join the collection in the split `unlabelled`.

    Raises:
        ValueError: naming the rows, files or videos at fault and what to do.
    """
    annotations = reader.read(root)
    files = reader.find_videos(root)
    _require_files(root, annotations.queries, files)
    probes = _probe(root, files, cache_dir=cache_dir, budget=budget)
    quarantine = _quarantine(files, probes, annotations.queries, max_share=params.max_quarantine_share)
    infos = {video_id: probe.info for video_id, probe in sorted(probes.items()) if probe.info}
    durations_s = {video_id: info.duration_s for video_id, info in infos.items()}
    usable = [query for query in annotations.queries if query.video_id in infos]
    if not usable:
        reasons = name_some(f"{video.path}: {video.reason}" for video in quarantine)
        raise ValueError(f"empty corpus: no query of {root} has a video that can be decoded ({reasons}); replace these files")
    fitted, clipped = fit_moments(usable, durations_s, annotations.rows)
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
    differing = _compare_durations(annotations, durations_s)
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


def _require_files(root: Path, queries: Sequence[Query], files: Mapping[str, str]) -> None:
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


def _compare_durations(annotations: ReadResult, durations_s: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    return {
        video_id: (annotated_s, durations_s[video_id])
        for video_id, annotated_s in sorted(annotations.durations_s.items())
        if video_id in durations_s and abs(annotated_s - durations_s[video_id]) > MAX_EXCESS_S
    }


def main() -> None:
    """Read params and paths, ingest, write, and print what was found."""
    params = load_params()
    reader = build_reader(params.corpus.reader)
    root = paths.RAW / params.corpus.name
    found = ingest(root, reader, params.ingest, cache_dir=paths.find_cache_dir())
    save_ingested(found, paths.CORPUS, corpus=params.corpus.name, reader=params.corpus.reader)
    for split, counts in summarize(found)["splits"].items():
        print(f"{split}: {counts['videos']} videos, {counts['queries']} queries, {counts['seconds'] / 60:.1f} minutes")
    for video in found.quarantine:
        print(f"quarantine: {video.path}: {video.reason}; {len(video.qids)} queries left out")
    if found.dropped or found.clipped or found.differing_durations:
        rows = f"{len(found.dropped)} rows dropped or shortened, {len(found.clipped)} clipped"
        print(f"{rows}, {len(found.differing_durations)} videos of another length: see {paths.CORPUS / 'summary.json'}")


if __name__ == "__main__":
    run_stage(main, name="ingest")

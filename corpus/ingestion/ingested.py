"""Result of ingestion: the corpus, its quarantine, and the list of everything left out or changed."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpus.files import write_json, write_jsonl
from corpus.readers.base import RowNote
from corpus.records import Corpus, save_corpus
from corpus.video_files import PassedOver, describe_passed_over


@dataclass(frozen=True, slots=True)
class QuarantinedVideo:
    """A video that cannot be decoded, and its queries, which were left out with it."""

    video_id: str
    path: str
    reason: str
    qids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ingested:
    """The usable corpus, and everything that was left out or changed.

    `passed_over` lists files in the folder of videos that are not videos. `differing_durations` maps videos whose
    annotated length is wrong by more than a second to (annotated, probed) seconds.
    """

    corpus: Corpus
    quarantine: tuple[QuarantinedVideo, ...]
    dropped: tuple[RowNote, ...]
    clipped: tuple[RowNote, ...]
    differing_durations: Mapping[str, tuple[float, float]]
    passed_over: tuple[PassedOver, ...] = ()


def save_ingested(found: Ingested, folder: Path, *, corpus: str, reader: str) -> None:
    """Write the corpus, its quarantine and its summary."""
    save_corpus(found.corpus, folder)
    write_jsonl(folder / "quarantine.jsonl", map(asdict, found.quarantine))
    write_json(folder / "summary.json", {"corpus": corpus, "reader": reader, **summarize(found)})


def summarize(found: Ingested) -> dict[str, Any]:
    """Count videos and queries, and list dropped and clipped rows."""
    return {
        "splits": _count_splits(found.corpus),
        "videos_with_sound": sum(bool(video.has_audio) for video in found.corpus.videos),
        "noted": {video.video_id: list(video.notes) for video in found.corpus.videos if video.notes},
        "quarantined": [{"video_id": video.video_id, "reason": video.reason} for video in found.quarantine],
        "passed_over": [one._asdict() for one in found.passed_over],
        "dropped": [note.to_json() for note in found.dropped],
        "clipped": [note.to_json() for note in found.clipped],
        "differing_durations": {
            video_id: {"annotated_s": annotated_s, "probed_s": probed_s}
            for video_id, (annotated_s, probed_s) in found.differing_durations.items()
        },
    }


def _count_splits(corpus: Corpus) -> dict[str, dict[str, float]]:
    parts = {split: corpus.of_split(split) for split in corpus.splits}
    return {
        split: {
            "videos": len(part.videos),
            "queries": len(part.queries),
            "seconds": round(sum(video.duration_s for video in part.videos), 3),
        }
        for split, part in parts.items()
    }


def describe_splits(found: Ingested) -> Iterator[str]:
    """Yield a line about the size of each split."""
    for split, counts in _count_splits(found.corpus).items():
        yield f"{split}: {counts['videos']} videos, {counts['queries']} queries, {counts['seconds'] / 60:.1f} minutes"


def describe_exceptions(found: Ingested, folder: Path) -> Iterator[str]:
    """Yield lines about everything passed over, left out, repaired or changed; `folder` holds the saved summary."""
    if found.passed_over:
        yield describe_passed_over(found.passed_over)
    for video in found.quarantine:
        yield f"quarantine: {video.path}: {video.reason}; {len(video.qids)} queries left out"
    yield from (f"note: {video.video_id}: {note}" for video in found.corpus.videos for note in video.notes)
    if found.dropped or found.clipped or found.differing_durations:
        rows = f"{len(found.dropped)} rows dropped or shortened, {len(found.clipped)} clipped"
        yield f"{rows}, {len(found.differing_durations)} videos of another length: see {folder / 'summary.json'}"

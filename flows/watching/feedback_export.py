"""Export of feedback as annotations: rows of the reader `folder` whose source is "feedback", for the next training."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import read_json, read_jsonl, sha256_json, write_file, write_jsonl
from corpus.moments import Moment
from corpus.readers.parsing.annotation_file import JSONL, find_annotations
from corpus.records import TRAIN, load_corpus
from corpus.splits import UNLABELLED
from flows.watching.feedback_votes import Resolved, Subject, collect_votes, resolve

SOURCE = "feedback"
DISPUTED, WRONG = "feedback_disputed.jsonl", "feedback_wrong.jsonl"


class Known(NamedTuple):
    """A video that feedback may be about."""

    duration_s: float
    split: str  # of the corpus; empty for uploads
    upload: Path | None = None  # the file of an upload


@dataclass(frozen=True)
class Exported:
    """What an export wrote and left out."""

    path: Path
    num_annotations: int
    num_disputed: int
    num_wrong: int
    num_held_out: int  # on videos of other splits than training
    num_unknown: int  # on videos that are neither in the corpus nor uploaded
    num_uploads: int  # copied into the corpus

    def describe(self) -> str:
        """Return the message for the terminal."""
        lines = [f"{self.num_annotations} annotations from feedback in {self.path}"]
        notes = (
            (self.num_disputed, f"disputed, listed in {DISPUTED}"),
            (self.num_wrong, f"only called wrong, listed in {WRONG}"),
            (self.num_held_out, "left out: their videos are held out for validation or tests"),
            (self.num_unknown, "left out: their videos are neither in data/corpus nor among the uploads"),
            (self.num_uploads, "uploads copied to videos/"),
        )
        return "\n".join(lines + [f"{number} {note}" for number, note in notes if number])


def export_feedback(state_dir: Path, folder: Path, *, corpus_dir: Path, adds_to_corpus: bool) -> Exported:
    """Write what people's feedback says to `folder`, a corpus of the reader `folder` if `adds_to_corpus`.

    Rows of earlier exports are replaced, all other rows stay. Without a corpus, only the rows of feedback are written.

    Raises:
        FileNotFoundError: when there is no feedback, no ingested corpus, or no annotations to add to.
        ValueError: when a file is damaged, or the annotations are a table.
    """
    known = find_videos(corpus_dir, state_dir)
    resolved = {subject: resolve(votes) for subject, votes in collect_votes(read_feedback(state_dir)).items()}
    usable = {one: votes for one, votes in resolved.items() if one.video_id in known and _may_train(known[one.video_id])}
    others = read_others(folder) if adds_to_corpus else []
    split = TRAIN if any(row.get("split") for row in others) else ""
    rows = [_to_row(subject, one, known[subject.video_id], split) for subject, one in usable.items() if one.agreed]
    disputed = {subject: one for subject, one in usable.items() if one.disputed}
    wrong = {subject: one for subject, one in usable.items() if not one.agreed and not one.disputed}
    uploads = {row["vid"]: known[row["vid"]].upload for row in rows} if adds_to_corpus else {}
    num_uploads = sum(_copy_video(path, folder / "videos" / name) for name, path in uploads.items() if path)
    write_jsonl(folder / DISPUTED, map(_list_votes, disputed, disputed.values()))
    write_jsonl(folder / WRONG, map(_list_votes, wrong, wrong.values()))
    write_jsonl(folder / JSONL, [*others, *rows])
    return Exported(
        path=folder / JSONL,
        num_annotations=len(rows),
        num_disputed=len(disputed),
        num_wrong=len(wrong),
        num_held_out=sum(one.video_id in known and not _may_train(known[one.video_id]) for one in resolved),
        num_unknown=sum(one.video_id not in known for one in resolved),
        num_uploads=num_uploads,
    )


def read_feedback(state_dir: Path) -> Iterable[Mapping[str, Any]]:
    """Return the rows of the service's feedback, oldest first.

    Raises:
        FileNotFoundError: when there is none.
    """
    path = state_dir / "feedback.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: nobody gave feedback there; name the service's folder with --state")
    return [row for _, row in read_jsonl(path)]


def find_videos(corpus_dir: Path, state_dir: Path) -> dict[str, Known]:
    """Return the videos of the ingested corpus, and the uploads of the service."""
    known = {video.video_id: Known(video.duration_s, video.split) for video in load_corpus(corpus_dir).videos}
    for path in sorted((state_dir / "uploads").glob("*/result.json")):
        result = read_json(path)
        if result["state"] == "ready":
            known.setdefault(path.parent.name, Known(result["duration_s"], "", path.with_name("original")))
    return known


def read_others(folder: Path) -> list[dict[str, Any]]:
    """Return the annotations of a corpus that no feedback made.

    Raises:
        FileNotFoundError: when there are none.
        ValueError: when they are a table.
    """
    path = find_annotations(folder)
    if path.name != JSONL:
        raise ValueError(f"{path} is not {JSONL}; feedback is added to JSONL alone: write the table as {JSONL}, or use --out")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; name a corpus of data/raw/ with {JSONL}, or use --out")
    return [row for _, row in read_jsonl(path) if row.get("source") != SOURCE]


def _may_train(video: Known) -> bool:
    return video.split in (TRAIN, UNLABELLED, "")


def _to_row(subject: Subject, resolved: Resolved, video: Known, split: str) -> dict[str, Any]:
    """Return the annotation of a subject; `annotators` holds what each person called true."""
    agreed = _clip(resolved.agreed, video.duration_s)
    row: dict[str, Any] = {
        "qid": f"feedback-{sha256_json(list(subject))[:16]}",
        "vid": subject.video_id,
        "duration": video.duration_s,
        "query": subject.text,
        "relevant_windows": agreed,
        "annotators": [_clip([moment], video.duration_s) for moment in resolved.wanted],
        "tags": {"disagreement": "yes" if resolved.disputed or resolved.num_wrong else "no"},
        "source": SOURCE,
    }
    return row | ({"split": split} if split else {})


def _clip(moments: Iterable[Moment], duration_s: float) -> list[list[float]]:
    return [[moment.start_s, min(moment.end_s, duration_s)] for moment in moments if moment.start_s < duration_s]


def _list_votes(subject: Subject, resolved: Resolved) -> dict[str, Any]:
    return {"vid": subject.video_id, "query": subject.text, "votes": [vote.to_json() for vote in resolved.votes]}


def _copy_video(source: Path, target: Path) -> bool:
    """Copy an upload, unless it is there; return whether it was copied."""
    if target.exists():
        return False
    with source.open("rb") as file:
        write_file(target, lambda out: shutil.copyfileobj(file, out))
    return True

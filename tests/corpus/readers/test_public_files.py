"""Full public annotation files: counts of kept, dropped and clipped rows per split."""

import json
from functools import cache
from pathlib import Path

import pytest

from corpus.annotations import summarize_annotations
from corpus.readers import build_reader
from corpus.readers.base import ReadResult
from corpus.splits import leave_out_reannotated


@cache
def read(shared_dir: Path, name: str) -> ReadResult:
    return build_reader(name).read(shared_dir / "annotations" / name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts"),  # per split: rows, kept queries, dropped, clipped, videos
    [
        ("charades_sta", {"train": (12408, 12404, 4, 1805, 5336), "test": (3720, 3720, 0, 562, 1334)}),
        (
            "activitynet_captions",
            {"train": (37421, 37417, 4, 261, 10009), "val": (17505, 17505, 0, 134, 4917), "test": (17031, 17031, 0, 111, 4885)},
        ),
        ("tacos", {"train": (9790, 9790, 0, 43, 75), "val": (4436, 4436, 0, 0, 27), "test": (4001, 4001, 0, 5, 25)}),
        ("qvhighlights", {"train": (7218, 7218, 0, 0, 7100), "val": (1550, 1550, 0, 0, 1519)}),
    ],
)
def test_counts_of_every_published_split(shared_dir: Path, name: str, counts: dict[str, tuple[int, ...]]) -> None:
    summary = summarize_annotations(read(shared_dir, name))
    keys = ("rows", "queries", "dropped", "clipped", "videos")
    assert {split: tuple(found[key] for key in keys) for split, found in summary["splits"].items()} == counts
    assert len(summary["dropped"]) == sum(found[2] for found in counts.values())
    assert len(summary["clipped"]) == sum(found[3] for found in counts.values())
    json.dumps(summary, allow_nan=False)


def test_the_rows_that_charades_sta_loses(shared_dir: Path) -> None:
    dropped = read(shared_dir, "charades_sta").dropped
    assert [note.row for note in dropped] == [f"charades_sta_train.txt line {line}" for line in (8252, 8440, 9623, 9624)]
    assert dropped[0].reason == "starts at 8.0 s and ends at 6.25 s"


def test_qvhighlights_has_several_windows_and_ratings_by_three(shared_dir: Path) -> None:
    found = read(shared_dir, "qvhighlights")
    splits = summarize_annotations(found)["splits"]
    assert [splits[split]["queries_with_several_moments"] for split in ("train", "val")] == [2363, 530]
    assert [splits[split]["moments"] for split in ("train", "val")] == [12803, 2803]
    assert all(len(ratings) == 3 for query in found.queries for ratings in query.saliency.values())
    assert all(query.saliency for query in found.queries)


@pytest.mark.slow
def test_activitynet_keeps_the_32_videos_of_val_that_its_test_split_does_not_annotate_again(shared_dir: Path) -> None:
    found = read(shared_dir, "activitynet_captions")
    assert summarize_annotations(found)["videos_in_two_splits"] == {"test and val": 4885}
    kept, notes = leave_out_reannotated(found.queries, found.rows, build_reader("activitynet_captions").reannotated)
    assert len({query.video_id for query in kept if query.split == "val"}) == 32
    assert sum(query.split == "test" for query in kept) == 17031
    assert len(kept) + len(notes) == len(found.queries)

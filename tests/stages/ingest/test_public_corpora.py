"""Public corpora in stage `ingest`: held-out validation, leaks between splits, and times in the units of each format."""

import json
import shutil
from pathlib import Path

import pytest

from corpus.ingestion.ingested import Ingested
from corpus.moments import Moment
from corpus.readers import build_reader
from ingest_folder import PARAMS, PUBLISHED, write_published
from stages.ingest import ingest


def read_published(root: Path, tmp_path: Path, reader: str) -> Ingested:
    return ingest(root, build_reader(reader), PARAMS, cache_dir=tmp_path / ".cache")


def test_a_public_corpus_without_validation_gets_one_held_out_of_its_training_videos(root: Path, tmp_path: Path) -> None:
    write_published(root, PUBLISHED)
    found = read_published(root, tmp_path, "charades_sta")
    splits = [video.split for video in found.corpus.videos]
    assert sorted(splits[:4]) == ["train", "train", "train", "val"]
    assert splits[4] == "test"
    assert [(note.row, note.qid) for note in found.dropped] == [("charades_sta_train.txt line 5", "train-5")]
    assert len(found.clipped) == 5


def test_a_public_corpus_with_a_video_in_two_splits_is_refused_before_any_video_is_read(root: Path, tmp_path: Path) -> None:
    leak = {"Charades_v1_test.csv": "id,length\nv0,2.0\n", "charades_sta_test.txt": "v0 0.5 1.5##a dog runs.\n"}
    write_published(root, PUBLISHED | leak)
    shutil.rmtree(root / "videos")
    with pytest.raises(ValueError, match=r"the queries of a video are in two splits: v0 \(test, train\); give them one split"):
        read_published(root, tmp_path, "charades_sta")


def test_a_public_corpus_with_one_video_under_two_names_in_two_splits_is_refused(root: Path, tmp_path: Path) -> None:
    write_published(root, PUBLISHED)
    (root / "videos" / "v4.mp4").write_bytes((root / "videos" / "v0.mp4").read_bytes())
    with pytest.raises(ValueError, match=r"the same video is in two splits: v0 \((train|val)\) = v4 \(test\)"):
        read_published(root, tmp_path, "charades_sta")


def test_validation_rows_about_videos_that_the_test_split_annotates_again_are_left_out(root: Path, tmp_path: Path) -> None:
    def annotate(*videos: str) -> str:
        return json.dumps({v: {"duration": 2.0, "timestamps": [[0, 1]], "sentences": ["A dog runs."]} for v in videos})

    files = {"train.json": annotate("v0", "v1"), "val_1.json": annotate("v2", "v3"), "val_2.json": annotate("v3", "v4")}
    write_published(root, files)
    found = read_published(root, tmp_path, "activitynet_captions")
    assert {video.video_id: video.split for video in found.corpus.videos} == {
        "v0": "train", "v1": "train", "v2": "val", "v3": "test", "v4": "test"
    }  # fmt: skip
    assert [(note.qid, note.reason) for note in found.dropped] == [("val-v3-1", "the video 'v3' is in the split test too")]


def test_moments_in_frames_follow_the_rate_of_the_video(root: Path, tmp_path: Path) -> None:
    for number in range(5):
        act = "{ act: { act2: {person_sits_down: 1.0}, id2: 1, timespan: [{tsr0: [5, 14]}], actors: [] } }"
        write_published(root, {f"v{number}.activities.yml": f"- {act}\n", f"v{number}.types.yml": "[]\n"})
    found = read_published(root, tmp_path, "kpf")
    assert {query.spans for query in found.corpus.queries} == {(Moment(0.5, 1.5),)}  # the videos have 10 frames a second


def test_a_last_segment_of_5_s_is_cut_at_the_end_of_its_video(root: Path, tmp_path: Path) -> None:
    def annotate(*videos: str) -> str:
        rows = [{"annotation_id": v, "description": "a dog", "video": f"{v}.mov", "times": [[0, 0], [0, 0]]} for v in videos]
        return json.dumps(rows)

    files = {"train_data.json": annotate("v0", "v1"), "val_data.json": annotate("v2"), "test_data.json": annotate("v3", "v4")}
    write_published(root, files)
    found = read_published(root, tmp_path, "didemo")
    assert {query.spans for query in found.corpus.queries} == {(Moment(0.0, 2.0),)}
    assert {query.annotators for query in found.corpus.queries} == {((Moment(0.0, 2.0),), (Moment(0.0, 2.0),))}


def test_a_table_of_windows_is_enough(root: Path, tmp_path: Path) -> None:
    rows = "".join(f"v{number}.mp4;0,5;0:01.5;a dog runs\n" for number in range(5))
    write_published(root, {"annotations.csv": "\ufeffvideo;start;end;query\r\n" + rows})
    found = read_published(root, tmp_path, "folder")
    assert [query.spans for query in found.corpus.queries] == [(Moment(0.5, 1.5),)] * 5
    assert found.differing_durations == {}

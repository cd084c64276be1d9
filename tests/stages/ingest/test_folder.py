"""A folder of videos becomes a corpus; wrong rows and missing files stop stage `ingest` before it writes."""

import shutil
from pathlib import Path

import pytest

from corpus.files import read_json
from corpus.ingestion.ingested import save_ingested
from corpus.records import load_corpus
from ingest_folder import row, run, write_clip, write_rows
from odd_media import ODD_FILES


def test_a_folder_becomes_a_corpus_with_a_split_by_video(root: Path, tmp_path: Path) -> None:
    write_clip(root / "videos" / "extra.mp4", 250)
    found = run(root, tmp_path)
    save_ingested(found, tmp_path / "out", corpus="mine", reader="folder")
    corpus = load_corpus(tmp_path / "out")
    assert corpus == found.corpus
    assert corpus.splits == ("train", "val", "test", "unlabelled")
    assert [video.video_id for video in corpus.of_split("unlabelled").videos] == ["extra"]
    splits = {video.video_id: video.split for video in corpus.videos}
    assert all(query.split == splits[query.video_id] for query in corpus.queries)
    video = corpus.videos[-1]
    assert (video.path, video.duration_s, video.num_frames, video.fps) == ("videos/v4.mp4", 2.0, 20, 10.0)
    assert (video.width, video.height, video.codec, len(video.sha256)) == (32, 24, "h264", 64)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "videos.jsonl", "queries.jsonl", "quarantine.jsonl", "summary.json"
    }  # fmt: skip
    assert read_json(tmp_path / "out" / "summary.json")["splits"]["test"] == {"videos": 1, "queries": 1, "seconds": 2.0}


def test_the_same_folder_gives_the_same_bytes_with_and_without_a_cache(root: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_ingested(run(root, tmp_path), tmp_path / name, corpus="mine", reader="folder")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_damage_that_is_tolerated_is_kept_with_the_video_and_summed_up(root: Path, tmp_path: Path) -> None:
    ODD_FILES["last_is_broken.mp4"].write(root / "videos")
    for _ in ("probed", "from the cache"):
        save_ingested(run(root, tmp_path), tmp_path / "out", corpus="mine", reader="folder")
        (video,) = (one for one in load_corpus(tmp_path / "out").videos if one.video_id == "last_is_broken")
        assert (video.num_damaged, video.notes) == (1, ("1 of 200 frames are damaged",))
        noted = read_json(tmp_path / "out" / "summary.json")["noted"]
        assert noted == {"last_is_broken": ["1 of 200 frames are damaged"]}


def test_a_missing_video_is_named_with_the_remedy(root: Path, tmp_path: Path) -> None:
    (root / "videos" / "v3.mp4").unlink()
    with pytest.raises(ValueError, match="1 annotated videos have no file in .*videos: v3; put them there as <vid>.mp4"):
        run(root, tmp_path)


def test_moments_elsewhere_must_name_videos_of_the_corpus(root: Path, tmp_path: Path) -> None:
    write_rows(root, *(row(f"v{number}", elsewhere={"ghost": [[0, 1]]}) for number in range(5)))
    with pytest.raises(ValueError, match='"elsewhere" names videos without a file in .*: ghost; correct their ids'):
        run(root, tmp_path)


def test_a_moment_outside_the_video_stops_the_stage_and_writes_nothing(root: Path, tmp_path: Path) -> None:
    write_rows(root, row("v0", relevant_windows=[[2.5, 3.0]]), *(row(f"v{number}") for number in range(1, 5)))
    with pytest.raises(ValueError, match=r"line 1 \(qid q-v0\): the moment \[2.5, 3.0\] is outside the video 'v0' of 2.00 s"):
        run(root, tmp_path)


def test_the_probed_length_is_the_truth_and_differences_are_listed(root: Path, tmp_path: Path) -> None:
    write_rows(root, row("v0", duration=3.5, relevant_windows=[[1.0, 2.4]]), *(row(f"v{number}") for number in range(1, 5)))
    found = run(root, tmp_path)
    assert found.differing_durations == {"v0": (3.5, 2.0)}
    (note,) = found.clipped
    assert (note.row, note.reason) == ("annotations.jsonl line 1", "ends after the video: 2.4 -> 2.0")


def test_the_same_bytes_under_two_names_in_two_splits_are_refused(root: Path, tmp_path: Path) -> None:
    (root / "videos" / "v1.mp4").write_bytes((root / "videos" / "v0.mp4").read_bytes())
    splits = ("train", "test", "val", "train", "train")
    write_rows(root, *(row(f"v{number}", split=split) for number, split in enumerate(splits)))
    with pytest.raises(ValueError, match=r"the same video is in two splits: v0 \(train\) = v1 \(test\)"):
        run(root, tmp_path)


def test_the_error_of_a_folder_without_videos_names_their_place(tmp_path: Path) -> None:
    write_rows(tmp_path, row("v0"))
    with pytest.raises(ValueError, match="videos holds no video files; put them there as videos/<vid>.mp4"):
        run(tmp_path, tmp_path)


def test_both_unicode_forms_of_a_name_are_one_video_and_the_path_keeps_its_own(root: Path, tmp_path: Path) -> None:
    (root / "videos" / "v3.mp4").rename(root / "videos" / "cafe\u0301.mp4")
    write_rows(root, *(row(vid, elsewhere={"cafe\u0301": [[0, 1]]} if vid == "v0" else {}) for vid in ("v0", "v1", "caf\u00e9")))
    found = run(root, tmp_path)
    (video,) = (one for one in found.corpus.videos if one.path == "videos/cafe\u0301.mp4")
    assert video.video_id == "caf\u00e9"
    assert {query.video_id for query in found.corpus.queries} == {"v0", "v1", "caf\u00e9"}


def test_two_files_whose_names_differ_by_the_unicode_form_are_refused(root: Path, tmp_path: Path) -> None:
    for name in ("cafe\u0301.mp4", "caf\u00e9.mp4"):
        shutil.copy(root / "videos" / "v0.mp4", root / "videos" / name)
    with pytest.raises(
        ValueError, match=r"one name in two Unicode forms, 'cafe\\u0301\.mp4' and 'caf\\xe9\.mp4'; rename or remove"
    ):
        run(root, tmp_path)


def test_other_files_are_counted_and_named_in_the_summary(root: Path, tmp_path: Path) -> None:
    (root / "videos" / "notes.txt").write_text("a dog")
    (root / "videos" / "v1.mp4.part").write_bytes(b"x")
    (root / "videos" / "more").mkdir()
    (root / "videos" / "v4.mp4").rename(root / "videos" / "v4.xyz")
    save_ingested(run(root, tmp_path), tmp_path / "out", corpus="mine", reader="folder")
    summary = read_json(tmp_path / "out" / "summary.json")
    assert summary["passed_over"] == [
        {"name": "more", "kind": "folder"},
        {"name": "notes.txt", "kind": "text"},
        {"name": "v1.mp4.part", "kind": "unfinished download; rename it if it is whole"},
    ]
    assert {video.video_id: video.path for video in load_corpus(tmp_path / "out").videos}["v4"] == "videos/v4.xyz"


def test_the_error_of_a_missing_video_names_similar_files(root: Path, tmp_path: Path) -> None:
    write_rows(root, row("V0"), row("v1"), row("v2"))
    with pytest.raises(ValueError, match=r"have no file in .*: V0; .*; 'v0' is there: capital and small letters count"):
        run(root, tmp_path)
    (root / "videos" / "song.mp3").write_bytes(b"ID3")
    write_rows(root, row("song"), row("v1"), row("v2"))
    with pytest.raises(ValueError, match=r"have no file in .*: song; .*; the file song\.mp3 \(sound\) is not a video"):
        run(root, tmp_path)


def test_the_error_of_a_folder_without_videos_names_its_files(root: Path, tmp_path: Path) -> None:
    for path in (root / "videos").iterdir():
        path.unlink()
        path.with_suffix(".txt").write_text("a dog")
    with pytest.raises(ValueError, match=r"holds no video files \(passed over: 5 files that are not videos: v0\.txt \(text\), "):
        run(root, tmp_path)

"""Stage `ingest`: a folder of videos becomes a corpus; bad files are quarantined, bad rows stop the stage before it writes."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from corpus.files import read_json, read_jsonl
from corpus.ingestion.ingested import Ingested, save_ingested
from corpus.ingestion.params import IngestParams
from corpus.isolation import Budget
from corpus.moments import Moment
from corpus.readers import build_reader
from corpus.records import load_corpus
from odd_media import ODD_FILES
from pipeline.executors.probing import probe_files
from stages.ingest import ingest

PARAMS = IngestParams(validation_share=0.2, test_share=0.2, max_quarantine_share=0.02, seed=1)


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_WORKERS", "1")


def write_clip(path: Path, brightness: int, *, num_frames: int = 20, size: tuple[int, int] = (32, 24)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"threads": "1", "x264-params": "mbtree=0"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _ in range(num_frames):
            image = np.full((*size[::-1], 3), brightness, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def row(vid: str, **values: Any) -> dict[str, Any]:
    base = {"qid": f"q-{vid}", "vid": vid, "duration": 2.0, "query": "a dog runs", "relevant_windows": [[0.5, 1.5]]}
    return base | values


def write_rows(root: Path, *rows: dict[str, Any]) -> None:
    (root / "annotations.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write five videos of two seconds with one query each."""
    folder = tmp_path / "data" / "raw" / "mine"
    for number in range(5):
        write_clip(folder / "videos" / f"v{number}.mp4", 40 * number)
    write_rows(folder, *(row(f"v{number}") for number in range(5)))
    return folder


def run(root: Path, tmp_path: Path, **params: Any) -> Ingested:
    return ingest(root, build_reader("folder"), PARAMS.model_copy(update=params), cache_dir=tmp_path / ".cache")


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


def test_a_video_that_cannot_be_decoded_is_quarantined_with_its_queries_and_mentions(root: Path, tmp_path: Path) -> None:
    (root / "videos" / "v2.mp4").write_bytes(b"broken")
    write_rows(root, *(row(f"v{number}", elsewhere={"v2": [[0, 1]]} if number == 1 else {}) for number in range(5)))
    found = run(root, tmp_path)
    (video,) = found.quarantine
    assert (video.video_id, video.qids) == ("v2", ("q-v2",))
    assert video.reason.startswith("it cannot be decoded")
    assert "v2" not in {query.video_id for query in found.corpus.queries} | {one.video_id for one in found.corpus.videos}
    assert not any(query.elsewhere for query in found.corpus.queries)
    (note,) = (note for note in found.dropped if note.qid == "q-v2")
    assert (note.row, note.reason) == ("annotations.jsonl line 3", "the video 'v2' is in quarantine")


def test_too_many_undecodable_videos_stop_the_stage_naming_each(root: Path, tmp_path: Path) -> None:
    for name in ("v1", "v3"):
        (root / "videos" / f"{name}.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="2 of 5 videos cannot be decoded, at most 1 may fail") as caught:
        run(root, tmp_path)
    assert "videos/v1.mp4: the file is empty (0 bytes)\nvideos/v3.mp4: " in str(caught.value)
    assert len(run(root, tmp_path, max_quarantine_share=0.4).quarantine) == 2


def test_a_broken_link_is_quarantined(root: Path, tmp_path: Path) -> None:
    (root / "videos" / "link.mp4").symlink_to(root / "nowhere.mp4")
    (video,) = run(root, tmp_path).quarantine
    assert video.video_id == "link"
    assert "it cannot be read" in video.reason


def test_a_corpus_of_which_no_video_can_be_decoded_is_empty(root: Path, tmp_path: Path) -> None:
    for path in (root / "videos").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(
        ValueError, match="empty corpus: no query of .* has a video that can be decoded .*videos/v0.mp4: it cannot be"
    ):
        run(root, tmp_path, max_quarantine_share=1.0)


@pytest.mark.slow
def test_a_hanging_decoder_only_affects_its_file(root: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")  # reading it blocks forever
    files = [root / "videos" / "v0.mp4", tmp_path / "pipe.mp4", root / "videos" / "v1.mp4"]
    budget = Budget(silence_s=8.0, silence_s_per_mebibyte=0)
    probes = {probe.path.name: probe for probe in probe_files(files, cache_dir=tmp_path, num_workers=1, budget=budget)}
    assert probes["pipe.mp4"].reason == "the process that read it made no progress for 8 s"
    assert probes["v0.mp4"].info == probes["v1.mp4"].info is not None


def test_a_crash_or_lack_of_memory_of_the_decoder_only_affects_its_file(root: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "large.mp4", 0, num_frames=2, size=(1920, 1080))  # a frame of 3 MiB
    (probe,) = probe_files([tmp_path / "large.mp4"], cache_dir=tmp_path, num_workers=1, budget=Budget(memory_bytes=1 << 20))
    assert probe.info is None
    assert re.search("process that read it ended with code|cannot be (read|decoded)|needs more than 1 MiB", probe.reason)


def test_a_killed_decoder_only_affects_its_file(root: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    files = [tmp_path / "pipe.mp4", root / "videos" / "v0.mp4"]

    def kill_decoder() -> None:
        while not multiprocessing.active_children():
            time.sleep(0.05)
        (child,) = multiprocessing.active_children()
        os.kill(child.pid or 0, signal.SIGSEGV)

    killer = threading.Thread(target=kill_decoder)
    killer.start()
    probes = {probe.path.name: probe for probe in probe_files(files, cache_dir=tmp_path, num_workers=1)}
    killer.join()
    assert probes["pipe.mp4"].reason == "the process that read it ended with code -11"
    assert probes["v0.mp4"].info is not None


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


PUBLISHED = {
    "Charades_v1_train.csv": "id,length\n" + "".join(f"v{number},2.0\n" for number in range(4)),
    "Charades_v1_test.csv": "id,length\nv4,2.0\n",
    "charades_sta_train.txt": "".join(f"v{number} 0.5 2.4##a dog runs.\n" for number in range(4)) + "v0 2 3##a cat.\n",
    "charades_sta_test.txt": "v4 0.5 1.5##a dog runs.\n",
}


def write_published(root: Path, files: dict[str, str]) -> None:
    (root / "annotations.jsonl").unlink(missing_ok=True)
    for name, content in files.items():
        (root / name).write_text(content)


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


SUMMARY = ("cuepoint", "corpus", "summary")


def run_program(folder: Path, corpus: str, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command, or `identity` and the stage, in a folder with the params and presets of this checkout."""
    checkout = Path(__file__).resolve().parents[2]
    params = (checkout / "params.yaml").read_text().replace("name: shapes", f"name: {corpus}")
    (folder / "params.yaml").write_text(params)
    (folder / "presets").symlink_to(checkout / "presets")
    if not command:
        subprocess.run([sys.executable, "-m", "stages.identity"], cwd=folder, capture_output=True, check=True)
    program = [sys.executable, "-m", *(command or ["stages.ingest"])]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


def test_the_summary_is_json_on_stdout_needs_no_videos_and_writes_nothing(tmp_path: Path) -> None:
    write_published(tmp_path, PUBLISHED)
    before = {path.name for path in tmp_path.iterdir()} | {"params.yaml", "presets"}
    result = run_program(tmp_path, "shapes", *SUMMARY, "--reader", "charades_sta", "--root", str(tmp_path))
    summary = json.loads(result.stdout)
    assert (summary["reader"], summary["root"]) == ("charades_sta", str(tmp_path))
    assert list(summary["splits"]) == ["train", "test"]
    assert {key: summary["splits"]["train"][key] for key in ("rows", "queries", "dropped", "clipped")} == {
        "rows": 5, "queries": 4, "dropped": 1, "clipped": 5
    }  # fmt: skip
    assert summary["dropped"][0]["row"] == "charades_sta_train.txt line 5"
    assert len(summary["clipped"]) == 5
    assert {path.name for path in tmp_path.iterdir()} == before


def test_the_summary_reads_the_chosen_corpus_by_default(root: Path, tmp_path: Path) -> None:
    result = run_program(tmp_path, "mine", *SUMMARY)
    assert json.loads(result.stdout)["splits"]["(none published)"]["queries"] == 5


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--reader", "charade"],
            1,
            "summary: error: there is no reader named 'charade'; known: activitynet_captions",
        ),
        (
            ["--reader", "tacos", "--root", "nowhere"],
            1,
            "summary: error: nowhere/train.json does not exist; it is in",
        ),
        (["--raeder", "tacos"], 2, "unrecognized arguments: --raeder"),
    ],
)
def test_a_wrong_command_ends_with_one_message(tmp_path: Path, options: list[str], code: int, message: str) -> None:
    result = run_program(tmp_path, "shapes", *SUMMARY, *options)
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_help_names_the_readers(tmp_path: Path) -> None:
    result = run_program(tmp_path, "shapes", *SUMMARY, "--help")
    assert result.returncode == 0
    assert "charades_sta, didemo, folder, kpf, qvhighlights, tacos" in " ".join(result.stdout.split())


def test_the_program_ends_with_a_message_and_no_output_when_there_is_nothing_to_read(tmp_path: Path) -> None:
    result = run_program(tmp_path, "nothing")
    assert result.returncode == 1
    assert (
        "ingest: error: data/raw/nothing/annotations.jsonl does not exist; put videos/ and annotations.jsonl or" in result.stderr
    )
    assert "Traceback" not in result.stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["identity"]


@pytest.mark.slow
def test_real_videos_are_ingested_and_awkward_ones_join_or_are_quarantined(shared_dir: Path, tmp_path: Path) -> None:
    root = tmp_path / "data" / "raw" / "real"
    (root / "videos").mkdir(parents=True)
    (root / "annotations.jsonl").symlink_to(shared_dir / "real" / "annotations.jsonl")
    for path in [*(shared_dir / "real" / "videos").iterdir(), *(shared_dir / "real" / "odd").iterdir()]:
        (root / "videos" / path.name).symlink_to(path)
    result = run_program(tmp_path, "real")
    assert result.returncode == 0, result.stderr
    corpus = load_corpus(tmp_path / "data" / "corpus")
    assert len(corpus.queries) == 10
    assert {video.video_id: video.rotation for video in corpus.videos if video.rotation} == {
        "video_90": 90, "video_180": 180, "video_270": 270
    }  # fmt: skip
    ((_, quarantined),) = read_jsonl(tmp_path / "data" / "corpus" / "quarantine.jsonl")
    assert (quarantined["video_id"], quarantined["qids"]) == ("corrupted", [])
    assert {split: len(corpus.of_split(split).videos) for split in corpus.splits} == {
        "train": 1,
        "val": 1,
        "test": 1,
        "unlabelled": 5,
    }


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

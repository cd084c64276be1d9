"""Records: round trips through files, and refusal of invalid values."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, load_corpus, save_corpus, to_moments

VIDEO = Video(
    video_id="v",
    path="videos/v.mp4",
    split="train",
    duration_s=10.0,
    fps=25.0,
    num_frames=250,
    width=64,
    height=48,
    rotation=90,
    codec="h264",
    has_audio=True,
    sha256="ab" * 32,
)
INTACT = replace(VIDEO, num_damaged=0, num_damaged_audio=0)
FULL = Query(
    qid="q",
    video_id="v",
    text="Ein Hund läuft.",
    spans=(Moment(0, 1), Moment(2.5, 4)),
    split="train",
    annotators=((Moment(0, 1),), (Moment(2, 3), Moment(4, 5))),
    saliency={3: (1.0, 2.0, 4.0)},
    elsewhere={"w": (Moment(1, 2),)},
    tags={"kind": "run"},
    source="generated",
)


def test_a_corpus_survives_saving_and_loading(tmp_path: Path) -> None:
    corpus = Corpus((VIDEO,), (FULL, Query("plain", "v", "a dog", (Moment(0, 1),))))
    save_corpus(corpus, tmp_path)
    assert load_corpus(tmp_path) == corpus


def test_damage_and_notes_survive_and_are_written_only_if_present(tmp_path: Path) -> None:
    damaged = replace(INTACT, num_damaged=2, notes=("2 of 250 frames are damaged",))
    save_corpus(Corpus((damaged, INTACT, VIDEO), ()), tmp_path)
    assert load_corpus(tmp_path).videos == (damaged, INTACT, VIDEO)
    assert not {"num_damaged", "num_damaged_audio", "notes"} & INTACT.to_json().keys()


def test_unknown_facts_survive_as_null(tmp_path: Path) -> None:
    video = Video(video_id="v", path=None, split="train", duration_s=10.0, sha256="ab" * 32)
    save_corpus(Corpus((video,), ()), tmp_path)
    assert load_corpus(tmp_path).videos == (video,)
    row = json.loads((tmp_path / "videos.jsonl").read_text())
    assert {name for name, value in row.items() if value is None} == {*row} - {"video_id", "split", "duration_s", "sha256"}


def test_the_fields_of_a_file_keep_their_order() -> None:
    first = ["video_id", "path", "split", "duration_s", "fps", "num_frames", "width", "height", "rotation", "codec", "has_audio"]
    later = ["sha256", "frame_rate", "audio_codec", "audio_rate_hz", "audio_channels", "audio_peak_db"]
    assert list(INTACT.to_json()) == first + later


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio_codec": ""}, "audio_codec is ''; an unknown fact is None"),
        ({"path": "", "codec": "", "fps": 0.0}, "fps is 0.0; an unknown fact is None"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_videos_of_an_older_version_are_refused_with_the_remedy(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_corpus(Corpus((VIDEO, VIDEO), ()), tmp_path)
    path = tmp_path / "videos.jsonl"
    first, second = map(json.loads, path.read_text().splitlines())
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second | changes)}\n")
    with pytest.raises(
        ValueError, match=r"videos\.jsonl line 2 is not a video of this version: .*run: dvc repro --force"
    ) as caught:
        load_corpus(tmp_path)
    assert message in str(caught.value)


def test_a_video_without_a_file_is_named_when_its_file_is_needed(tmp_path: Path) -> None:
    assert VIDEO.locate(tmp_path) == tmp_path / "videos" / "v.mp4"
    with pytest.raises(ValueError, match=r"video 'v' has no file: .*corpus\.features .*dvc repro ingest"):
        replace(VIDEO, path=None).locate(tmp_path)


def test_equal_corpora_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_corpus(Corpus((VIDEO,), (FULL,)), tmp_path / name)
    assert (tmp_path / "one" / "queries.jsonl").read_bytes() == (tmp_path / "two" / "queries.jsonl").read_bytes()


def test_empty_fields_are_not_written() -> None:
    row = Query("q", "v", "a dog", (Moment(0, 1),)).to_json()
    assert set(row) == {"qid", "video_id", "text", "split", "spans", "source"}


def test_a_sentence_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="query 'q': the sentence ' ?!' has no words".replace("?", r"\?")):
        Query("q", "v", " ?!", (Moment(0, 1),))


def test_a_query_without_moments_is_refused() -> None:
    with pytest.raises(ValueError, match="query 'q': no moment is given"):
        Query("q", "v", "a dog", ())


def test_pairs_become_moments() -> None:
    assert to_moments([[0, 1], (2, 3)]) == (Moment(0.0, 1.0), Moment(2.0, 3.0))


def test_splits_are_listed_in_the_usual_order_and_can_be_taken_apart() -> None:
    names = ["test_unseen", "test", "val", "train", "other"]
    videos = tuple(Video(video_id=name, path="p", split=name, duration_s=1, sha256="s") for name in names)
    queries = tuple(Query(name, name, "a dog", (Moment(0, 1),), split=name) for name in names)
    corpus = Corpus(videos, queries)
    assert corpus.splits == ("train", "val", "test", "other", "test_unseen")
    assert [query.qid for query in corpus.of_split("val").queries] == ["val"]
    assert [video.video_id for video in corpus.of_split("val").videos] == ["val"]

"""Records survive their way through files, and refuse what makes no sense."""

from pathlib import Path

import pytest

from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, load_corpus, save_corpus, to_moments

VIDEO = Video("v", "videos/v.mp4", "train", 10.0, 25.0, 250, 64, 48, 90, "h264", True, "ab" * 32)
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
    videos = tuple(Video(name, "p", name, 1, 1, 1, 1, 1, 0, "c", False, "s") for name in names)
    queries = tuple(Query(name, name, "a dog", (Moment(0, 1),), split=name) for name in names)
    corpus = Corpus(videos, queries)
    assert corpus.splits == ("train", "val", "test", "other", "test_unseen")
    assert [query.qid for query in corpus.of_split("val").queries] == ["val"]
    assert [video.video_id for video in corpus.of_split("val").videos] == ["val"]

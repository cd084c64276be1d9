"""Feedback becomes annotations that the folder reader reads; disagreement stays visible, and held-out videos are left out."""

from pathlib import Path
from typing import Any

import pytest

from corpus.files import read_jsonl, write_jsonl
from corpus.moments import Moment
from corpus.readers import build_reader
from corpus.records import Corpus, Query, Video, save_corpus
from flows.watching.feedback_export import DISPUTED, WRONG, export_feedback
from flows.watching.feedback_votes import collect_votes, resolve

VIDEOS = {"a": "train", "b": "train", "held": "test", "free": "unlabelled"}
Row = dict[str, Any]


def say(verdict: str, span: tuple[float, float], *, video: str = "a", number: int = 0, **more: Any) -> Row:
    row = {"feedback_id": f"f{number}", "time_s": float(number), "query": "a dog jumps", "video_id": video, "verdict": verdict}
    corrected = more.pop("to", (None, None))
    row |= {"corrected_start_s": corrected[0], "corrected_end_s": corrected[1], "answer_id": None}
    return row | {"start_s": span[0], "end_s": span[1], **more}


def decide(*rows: Row) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    (votes,) = collect_votes({**row, "feedback_id": f"f{number}"} for number, row in enumerate(rows)).values()
    resolved = resolve(votes)
    agreed, disputed = ([(one.start_s, one.end_s) for one in part] for part in (resolved.agreed, resolved.disputed))
    return agreed, disputed


def test_a_correction_takes_the_place_of_what_was_shown() -> None:
    assert decide(say("corrected", (1, 2), to=(5, 8))) == ([(5, 8)], [])


def test_the_agreed_span_is_the_median_of_those_that_people_want() -> None:
    rows = [say("right", (1, 5)), say("corrected", (1, 5), to=(1.5, 5)), say("corrected", (1, 5), to=(1.2, 6))]
    assert decide(*rows) == ([(1.2, 5)], [])


def test_a_tie_is_a_dispute_and_a_majority_is_not() -> None:
    assert decide(say("right", (1, 5)), say("wrong", (1, 5))) == ([], [(1, 5)])
    assert decide(say("right", (1, 5)), say("right", (1, 5)), say("wrong", (1, 5))) == ([(1, 5)], [])


def test_a_correction_to_elsewhere_speaks_against_the_shown_moment() -> None:
    assert decide(say("right", (1, 3)), say("corrected", (1, 3), to=(7, 9))) == ([(7, 9)], [(1, 3)])


def test_a_sentence_may_be_true_at_two_places() -> None:
    assert decide(say("right", (1, 3)), say("right", (7, 9))) == ([(1, 3), (7, 9)], [])


def test_the_last_verdict_on_one_moment_of_an_answer_counts() -> None:
    rows = [say("right", (1, 5), answer_id="x"), say("wrong", (1, 5), answer_id="x")]
    assert decide(*rows) == ([], [])


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return the ingested corpus, the service's folder and a corpus folder with one annotation."""
    videos = tuple(
        Video(video_id=name, path=f"videos/{name}.mp4", split=split, sha256=name, duration_s=10.0)
        for name, split in VIDEOS.items()
    )
    save_corpus(Corpus(videos, (Query("q", "a", "x", (Moment(0, 1),), split="train"),)), tmp_path / "corpus")
    (tmp_path / "state").mkdir()
    base = {"qid": 1, "vid": "a", "duration": 10.0, "query": "a cat sleeps", "relevant_windows": [[0, 2]], "split": "train"}
    write_jsonl(tmp_path / "raw" / "annotations.jsonl", [base])
    return tmp_path / "corpus", tmp_path / "state", tmp_path / "raw"


def export(places: tuple[Path, Path, Path], *rows: Row) -> Any:
    corpus_dir, state_dir, folder = places
    write_jsonl(state_dir / "feedback.jsonl", [{**row, "feedback_id": f"f{number}"} for number, row in enumerate(rows)])
    return export_feedback(state_dir, folder, corpus_dir=corpus_dir, adds_to_corpus=True)


def test_the_folder_reader_reads_the_annotations_with_source_and_disagreement(places: Any) -> None:
    rows = [
        say("right", (1, 5)),
        say("corrected", (1, 5), to=(1.4, 5)),
        say("wrong", (1, 5)),
        say("right", (2, 12), video="free"),
    ]
    exported = export(places, *rows)
    found = {query.video_id: query for query in build_reader("folder").read(places[2]).queries if query.source == "feedback"}
    assert exported.num_annotations == len(found) == 2
    assert found["a"].spans == (Moment(1.2, 5),)
    assert found["a"].annotators == ((Moment(1, 5),), (Moment(1.4, 5),))
    assert (found["a"].tags, found["a"].split, found["a"].text) == ({"disagreement": "yes"}, "train", "a dog jumps")
    assert found["free"].spans == (Moment(2, 10),)  # clipped to the video
    assert found["free"].tags == {"disagreement": "no"}


def test_a_second_export_replaces_the_first_and_keeps_other_annotations(places: Any) -> None:
    export(places, say("right", (1, 5)))
    export(places, say("right", (1, 5)), say("corrected", (1, 5), to=(7, 9)), say("wrong", (1, 5)))
    queries = build_reader("folder").read(places[2]).queries
    assert [(query.text, query.spans) for query in queries] == [
        ("a cat sleeps", (Moment(0, 2),)),
        ("a dog jumps", (Moment(7, 9),)),
    ]


def test_held_out_and_unknown_videos_are_left_out_and_counted(places: Any) -> None:
    exported = export(places, say("right", (1, 5), video="held"), say("right", (1, 5), video="gone"), say("right", (1, 5)))
    assert (exported.num_annotations, exported.num_held_out, exported.num_unknown) == (1, 1, 1)
    assert "1 left out: their videos are held out for validation or tests" in exported.describe()


def test_disputed_and_wrong_moments_are_listed_with_their_votes(places: Any) -> None:
    rows = [say("right", (1, 5)), say("wrong", (1, 5)), say("wrong", (2, 3), video="b")]
    exported = export(places, *rows)
    assert (exported.num_annotations, exported.num_disputed, exported.num_wrong) == (0, 1, 1)
    ((_, disputed),) = read_jsonl(places[2] / DISPUTED)
    assert [vote["verdict"] for vote in disputed["votes"]] == ["right", "wrong"]
    ((_, wrong),) = read_jsonl(places[2] / WRONG)
    assert (wrong["vid"], wrong["votes"][0]["shown"]) == ("b", [2, 3])


def test_an_upload_is_copied_into_the_corpus(places: Any) -> None:
    folder = places[1] / "uploads" / "upload-0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "original").write_bytes(b"video")
    (folder / "result.json").write_text('{"state": "ready", "duration_s": 6.0}')
    exported = export(places, say("right", (1, 5), video=folder.name))
    assert (exported.num_annotations, exported.num_uploads) == (1, 1)
    assert (places[2] / "videos" / folder.name).read_bytes() == b"video"


def test_without_feedback_the_folder_is_named(places: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"feedback\.jsonl does not exist: nobody gave feedback there"):
        export_feedback(places[1], tmp_path, corpus_dir=places[0], adds_to_corpus=False)

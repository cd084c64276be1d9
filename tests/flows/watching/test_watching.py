"""A watch of logged traffic: quiet traffic changes nothing, other traffic counts as drift, and the report says what moved."""

import random
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.logging import disable_run_logger

import flows.watch as flow
from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, save_corpus
from flows.watching.rules import WatchRules, WatchState, load_state, save_state
from flows.watching.samples import Places, collapse_repeats, draw_texts
from flows.watching.watching import MARKDOWN, PAGE, Watched, watch
from search.answers import Verdict
from serving.traffic.rows import TrafficRow
from serving.traffic.segments import Segments

RULES = WatchRules(min_rows=60, max_rows=80)


def say(rng: random.Random, *, is_new: bool = False) -> str:
    colours = ("red", "blue", "green")
    verbs = ("zigzags", "somersaults") if is_new else ("moves left", "spins", "leaves", "grows", "shrinks")
    return f"the {rng.choice(colours)} {rng.choice(('circle', 'square'))} {rng.choice(verbs)}"


def make_row(text: str, time_s: float, **changes: Any) -> TrafficRow:
    unknown = tuple(word for word in ("zigzags", "somersaults") if word in text)
    values: dict[str, Any] = {
        "time_s": time_s,
        "answer_id": "0" * 16,
        "endpoint": "search",
        "query": text,
        "num_characters": len(text),
        "num_words": len(text.split()),
        "num_unknown": len(unknown),
        "unknown_words": unknown,
        "is_limited": False,
        "verdict": Verdict.FOUND,
        "num_moments": 0,
        "best": None,
        "model": "another",
        "index": "i",
        "variant": "champion",
        "took_ms": 1.0,
    }
    return TrafficRow.model_validate(values | changes)


@pytest.fixture
def places(small_project: Any, tmp_path: Path) -> Places:
    """Return a corpus of 120 videos with a sentence each, and a service without traffic."""
    rng, splits = random.Random(0), ["train"] * 100 + ["val"] * 20
    names = [f"c{number}" for number in range(len(splits))]
    videos = [
        Video(video_id=name, path=f"videos/{name}.mp4", split=split, sha256=name, duration_s=9.0)
        for name, split in zip(names, splits, strict=True)
    ]
    queries = [Query(one.video_id, one.video_id, say(rng), (Moment(0, 1),), split=one.split) for one in videos]
    save_corpus(Corpus(tuple(videos), tuple(queries)), tmp_path / "corpus")
    return Places(tmp_path / "corpus", small_project.bundle, small_project.index, tmp_path / "state")


def log(places: Places, *, start_s: float, is_new: bool = False, **changes: Any) -> None:
    """Log 70 sentences, one an hour, so that none counts as a repeat."""
    rng = random.Random(int(start_s))
    rows = [make_row(say(rng, is_new=is_new), start_s + 3600.0 * number, **changes) for number in range(70)]
    segments = Segments(places.state_dir / "traffic", max_bytes=10**7, max_days=30)
    segments.write([row.model_dump_json(exclude_none=True).encode() + b"\n" for row in rows])
    segments.close()


def look(places: Places, folder: Path, *, now_s: float = 1e9, **more: Any) -> Watched:
    return watch(places, folder, RULES, now_s=now_s, **{"records": True, **more})


@pytest.mark.slow
def test_persisting_drift_starts_a_retrain_and_quiet_traffic_does_not(places: Places, tmp_path: Path) -> None:
    folder = tmp_path / "watch"
    log(places, start_s=1e6)
    assert look(places, folder).action.reason == "No retrain: the window shows no drift."
    assert look(places, folder).action.reason == "Nothing compared: 0 sentences, and a window needs 60."
    log(places, start_s=2e6, is_new=True)
    assert look(places, folder).action.reason == "No retrain yet: drift in 1 of 2 windows in a row."
    log(places, start_s=3e6, is_new=True)
    found = look(places, folder)
    assert found.action.starts_retrain
    assert found.comparison is not None
    moved = {one.key for one in found.comparison.list_moved()}
    assert {"unknown", "verbs"} <= moved
    page, markdown = (folder / PAGE).read_text(), (folder / MARKDOWN).read_text()
    for text in ("The traffic has moved away from training", "zigzags", "Retrain: drift in 2 windows in a row."):
        assert text in page
        assert text in markdown
    assert "<script" not in page
    assert "http" not in page
    assert [check.has_drift for check in load_state(folder).checks] == [False, True, True]


@pytest.mark.slow
def test_a_report_remembers_nothing_and_names_odd_sentences(places: Places, tmp_path: Path) -> None:
    log(places, start_s=1e6)
    folder = tmp_path / "report"
    found = look(places, folder, records=False, with_autoencoder=True)
    assert found.action.reason == "Nothing follows from this report."
    assert sorted(path.name for path in folder.iterdir()) == [PAGE, MARKDOWN]
    assert "Odd single sentences by memory autoencoder" in found.markdown


@pytest.mark.slow
def test_without_text_lengths_and_unknown_words_are_compared(places: Places, tmp_path: Path) -> None:
    log(places, start_s=1e6, is_new=True, query=None, unknown_words=None)
    found = look(places, tmp_path / "watch").comparison
    assert found is not None
    assert {one.key for one in found.findings if one.p_value is not None} == {"lengths", "unknown"}
    assert {one.key for one in found.list_moved()} >= {"unknown"}


def test_a_service_without_a_log_is_named(places: Places, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"traffic does not exist: no service has logged traffic there"):
        look(places, tmp_path / "watch")


def test_a_sentence_asked_again_within_ten_minutes_counts_once() -> None:
    times_s = (0.0, 500.0, 1000.0, 2000.0)  # the second and third follow within ten minutes
    assert [row.time_s for row in collapse_repeats(make_row("a star spins", one) for one in times_s)] == [0.0, 2000.0]
    rows = [make_row("a star spins", one, query=None, unknown_words=None) for one in times_s]
    assert len(collapse_repeats(rows)) == 4


def test_one_sentence_of_each_video_stands_for_all() -> None:
    queries = tuple(Query(f"{video}{n}", video, f"{video} {n}", (Moment(0, 1),), split="train") for video in "abc" for n in "123")
    texts = draw_texts(Corpus((), queries), ("train",), most=10)
    assert sorted(text[0] for text in texts) == ["a", "b", "c"]
    assert texts == draw_texts(Corpus((), queries), ("train",), most=10)


def test_a_retrain_is_asked_for_once_a_window_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def run(name: str, **given: Any) -> FlowRun:
        asked.append((name, given["idempotency_key"], given["parameters"]))
        return FlowRun.model_construct(name="quick-fox")

    monkeypatch.setattr(flow, "run_deployment", run)
    save_state(tmp_path, WatchState(model="m" * 20, checked_until_s=12.5, streak=2))
    with disable_run_logger():
        flow.start_retrain.fn(tmp_path, "drift in 2 windows")
    assert asked == [("retrain/cuepoint", "drift-mmmmmmmmmmmm-12.500", {"why": "drift: drift in 2 windows"})]
    state = load_state(tmp_path)
    assert (state.streak, len(state.retrains_s)) == (0, 1)


def test_without_the_deployment_the_drift_still_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> FlowRun:
        raise ObjectNotFound(http_exc=Exception("no such deployment"))

    monkeypatch.setattr(flow, "run_deployment", run)
    save_state(tmp_path, WatchState(streak=2))
    with pytest.raises(ValueError, match=r"no deployment 'retrain/cuepoint' to start; run: cuepoint deploy"):
        flow.start_retrain.fn(tmp_path, "drift")
    assert load_state(tmp_path).streak == 2

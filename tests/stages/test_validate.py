"""The data gate: good tables pass, each kind of bad row is named, and equal data give equal verdicts."""

import json
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from corpus.gate.suites import load_suite
from corpus.gate.tables import load_tables
from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, save_corpus
from stages import validate
from stages.validate import REPORT, Validated, describe_failures, validate_corpus

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_.*' is deprecated:DeprecationWarning")  # Great Expectations
ROOT = Path(__file__).resolve().parents[2]
Faults = dict[str, tuple[dict[str, Any], str]]  # key of a row: its changes, and the rule that names it

QUERY_FAULTS: Faults = {
    "q0": ({"spans": [[5, 3]]}, "moments_end_after_their_start"),
    "q1": ({"spans": [[1, 99]]}, "moments_end_inside_their_video"),
    "q2": ({"spans": [[-1, 3]]}, "moments_start_at_zero_or_later"),
    "q3": ({"spans": []}, "there_are_moments"),
    "q4": ({"split": "other"}, "splits_are_those_of_the_videos"),
    "q5": ({"video_id": "ghost"}, "videos_are_in_the_corpus"),
    "q6": ({"text": "word " * 61}, "sentences_are_short"),
    "q7": ({"text": "?!"}, "sentences_have_words"),
    "q8": ({"elsewhere": {"v1": [[0, 1]]}}, "other_videos_are_of_the_same_split"),
    "q9": ({"source": None}, "fields_are_given"),
    "q10": ({"elsewhere": {"v13": [[0, 99]]}}, "other_moments_are_inside_their_videos"),
    "q11": ({"annotators": [[[2, 1]]]}, "other_moments_are_inside_their_videos"),
    "q12": ({"spans": [[1, 1.1]]}, "moments_can_be_seen"),
    "q13": ({"text": "Мужчина бежит"}, "sentences_are_in_the_expected_script"),
    "q14": ({"text": "Eine Frau geht durch die Tür"}, "sentences_are_in_the_expected_language"),
    "q15": ({"text": "two men in the cafÃ©"}, "characters_are_whole"),
    "q16": ({"text": "dog собака кот"}, "sentences_are_in_the_expected_script"),
    "q17": ({"text": "собака and cat"}, "scripts_are_not_mixed"),
    "q18": ({"text": "x" * 2001}, "sentences_are_no_documents"),
    "q19": ({"qid": "q20"}, "fields_have_their_types"),
    "q20": ({"spans": [[float("nan"), 2]]}, "fields_have_their_types"),
}
VIDEO_FAULTS: Faults = {
    "v0": ({"duration_s": 0.0}, "durations_are_positive"),
    "v1": ({"fps": 2000.0}, "frame_rates_are_positive"),
    "v2": ({"rotation": 45}, "rotations_are_quarter_turns"),
    "v3": ({"codec": None}, "fields_are_given"),
    "v4": ({"sha256": f"{5:064d}"}, "a_content_is_in_one_split"),
    "v5": ({"num_frames": 0}, "there_are_frames"),
    "v6": ({"has_audio": "yes"}, "fields_have_their_types"),
    "v7": ({"width": 0}, "widths_are_positive"),
    "v8": ({"sha256": "short"}, "checksums_are_sha256"),
    "v9": ({"height": -1}, "heights_are_positive"),
    "v10": ({"fps": 240.0}, "frame_rates_are_usual"),
    "v11": ({"num_frames": 100}, "frame_rates_are_constant"),
    "v12": ({"duration_s": 0.5}, "durations_are_usual"),
    "v13": ({"sha256": f"{16:064d}"}, "contents_are_unique"),
    "v14": ({"duration_s": "long"}, "fields_have_their_types"),
    "v15": ({"fps": float("nan")}, "fields_have_their_types"),
    "v17": ({"width": 16}, "widths_are_usual"),
    "v18": ({"video_id": "v19"}, "ids_are_unique"),
    "v20": ({"num_frames": 25.5}, "fields_have_their_types"),
}


OF_A_FILE = ("path", "codec", "fps", "num_frames", "width", "height", "rotation", "has_audio")


def save_good_corpus(folder: Path, size: int = 24) -> None:
    splits = [("train", "val", "test")[number % 3] for number in range(size)]
    videos = [
        Video(
            video_id=f"v{number}",
            path=f"videos/v{number}.mp4",
            split=split,
            duration_s=10.0,
            fps=25.0,
            num_frames=250,
            width=640,
            height=360,
            rotation=0,
            codec="h264",
            has_audio=False,
            sha256=f"{number:064d}",
        )
        for number, split in enumerate(splits)
    ]
    queries = [
        Query(f"q{number}", f"v{number}", f"the dog runs {number} times", (Moment(1, 4), Moment(5, 10.0)), split)
        for number, split in enumerate(splits)
    ]
    save_corpus(Corpus(tuple(videos), tuple(queries)), folder)


def break_rows(path: Path, key: str, changes: dict[str, dict[str, Any]]) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | changes.get(row[key], {})) + "\n" for row in rows))


def run(folder: Path, kinds: Collection[str] = ("pictures",)) -> Validated:
    rules = [rule for rule in load_suite("default", ROOT / "presets" / "suite") if rule.applies_to(kinds)]
    return validate_corpus(folder, rules, docs_dir=folder / "docs")


def list_named(found: Validated, rule: str) -> list[str]:
    """Return the keys of the rows that a rule names."""
    (finding,) = [one for one in found.findings if f"{one.rule.table}.{one.rule.name}" == rule]
    return [str(next(iter(row.values()))) for row in finding.rows]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Validated:
    """Return the findings of the gate on a corpus with one fault in most rows."""
    folder = tmp_path_factory.mktemp("broken")
    save_good_corpus(folder)
    break_rows(folder / "queries.jsonl", "qid", {key: change for key, (change, _) in QUERY_FAULTS.items()})
    break_rows(folder / "videos.jsonl", "video_id", {key: change for key, (change, _) in VIDEO_FAULTS.items()})
    return run(folder)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with params, presets and a good corpus."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    save_good_corpus(tmp_path / "data" / "corpus")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_good_corpus_passes_without_a_warning_and_the_reports_are_the_same_bytes(checkout: Path) -> None:
    reports = []
    for _ in range(2):
        validate.main()
        reports.append((validate.REPORT.read_bytes(), validate.FINDINGS.read_bytes()))
    assert reports[0] == reports[1]
    assert json.loads(reports[0][0]) == {"failures": [], "rows": {"queries": 24, "videos": 24}, "success": True}
    assert all(finding["success"] for finding in json.loads(reports[0][1]))


@pytest.mark.parametrize(
    ("table", "key", "rule"),
    [("queries", key, rule) for key, (_, rule) in QUERY_FAULTS.items() if key != "q19"]
    + [("videos", key, rule) for key, (_, rule) in VIDEO_FAULTS.items() if key != "v18"],
)
def test_a_bad_row_is_named_by_the_rule_it_breaks(broken: Validated, table: str, key: str, rule: str) -> None:
    assert key in list_named(broken, f"{table}.{rule}")


def test_rows_with_the_same_id_are_named_with_their_lines(broken: Validated) -> None:
    messages = [finding.describe() for finding in broken.stopping]
    assert any("queries.ids_are_unique" in line and "q20 (line 20); q20 (line 21)" in line for line in messages)
    assert any("videos.ids_are_unique" in line and "v19 (line 19); v19 (line 20)" in line for line in messages)


@pytest.mark.slow
def test_a_video_whose_id_is_in_two_splits_is_named_in_both_tables(tmp_path: Path) -> None:
    save_good_corpus(tmp_path)
    break_rows(tmp_path / "queries.jsonl", "qid", {"q4": {"split": "train"}})
    found = run(tmp_path)
    assert list_named(found, "videos.a_video_is_in_one_split") == ["v4"]
    assert list_named(found, "queries.a_video_is_in_one_split") == ["q4"]
    assert list_named(found, "queries.splits_are_those_of_the_videos") == ["q4"]


@pytest.mark.slow
def test_repeated_rows_and_sentences_are_warnings(tmp_path: Path) -> None:
    save_good_corpus(tmp_path)
    same = {"video_id": "v3", "split": "train", "text": "The dog runs 3 times!"}
    break_rows(tmp_path / "queries.jsonl", "qid", {"q6": same, "q9": {**same, "spans": [[2, 3]]}})
    found = run(tmp_path)
    assert not found.stopping
    assert list_named(found, "queries.rows_are_not_repeated") == ["q3", "q6"]
    assert list_named(found, "queries.sentences_are_said_once_of_a_video") == ["q3", "q6", "q9"]


@pytest.mark.slow
def test_a_file_in_a_wrong_encoding_stops_the_pipeline(tmp_path: Path) -> None:
    save_good_corpus(tmp_path)
    break_rows(tmp_path / "queries.jsonl", "qid", {f"q{number}": {"text": "un cafÃ©"} for number in range(3)})
    assert "characters_are_mostly_whole" in {finding.rule.name for finding in run(tmp_path).stopping}


@pytest.mark.slow
def test_a_warning_lets_the_corpus_pass_and_does_not_change_the_verdict(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validate.main()
    verdict = REPORT.read_bytes()
    break_rows(checkout / "data" / "corpus" / "videos.jsonl", "video_id", {"v1": {"fps": 240.0, "num_frames": 2400}})
    validate.main()
    assert "warning: videos.frame_rates_are_usual" in capsys.readouterr().out
    assert REPORT.read_bytes() == verdict


@pytest.mark.slow
def test_a_critical_failure_stops_the_stage_after_report_and_docs_are_written(checkout: Path) -> None:
    break_rows(checkout / "data" / "corpus" / "queries.jsonl", "qid", {"q1": {"spans": [[1, 99]]}})
    with pytest.raises(
        ValueError, match=r"1 rule is broken:\n  queries\.moments_end_inside_their_video: .* fails for 1: q1 \(line 2"
    ):
        validate.main()
    (failure,) = json.loads(REPORT.read_text())["failures"]
    assert failure["num_failing"] == 1
    assert failure["rows"] == [
        {"qid": "q1", "line": 2, "video_duration_s": 10, "last_end_s": 99, "video_id": "v1", "text": "the dog runs 1 times"}
    ]
    assert "moments end inside their video" in (validate.DATA_DOCS / "index.html").read_text().lower()


@pytest.mark.slow
def test_both_tables_are_checked_by_one_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpus.gate import gate

    save_good_corpus(tmp_path)
    checkpoints = []
    run_checkpoint = gate.gx.Checkpoint.run

    def record(checkpoint: Any, *arguments: Any, **named: Any) -> Any:
        checkpoints.append([definition.name for definition in checkpoint.validation_definitions])
        return run_checkpoint(checkpoint, *arguments, **named)

    monkeypatch.setattr(gate.gx.Checkpoint, "run", record)
    run(tmp_path)
    assert checkpoints == [["videos", "queries"]]


@pytest.mark.slow
def test_an_empty_corpus_fails_the_gate(tmp_path: Path) -> None:
    save_corpus(Corpus((), ()), tmp_path)
    messages = [finding.describe() for finding in run(tmp_path).stopping]
    assert any(re.match(r"queries\.there_are_sentences: .* fails: found 0", line) for line in messages)
    assert any(re.match(r"videos\.there_are_training_and_.* fails: found no train, val", line) for line in messages)


@pytest.mark.slow
def test_missing_sound_stops_the_stage_once_a_stream_of_sound_is_chosen(checkout: Path) -> None:
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("    video: place_cnn\n", "    video: place_cnn\n    sound: log_mel\n"))
    with pytest.raises(ValueError, match=r"videos\.most_videos_have_sound: .* fails for 24"):
        validate.main()


@pytest.mark.slow
@pytest.mark.parametrize(("num_silent", "num_without", "stops"), [(1, 1, False), (4, 0, True), (0, 4, True)])
def test_missing_and_silent_sound_stops_the_pipeline_if_a_sound_stream_is_chosen(
    num_silent: int, num_without: int, stops: bool, tmp_path: Path
) -> None:
    save_good_corpus(tmp_path)
    sound = {"has_audio": True, "audio_codec": "aac", "audio_rate_hz": 16000, "audio_channels": 1, "audio_peak_db": -12}
    changes = {f"v{number}": dict(sound) for number in range(24)}
    for number in range(num_silent):
        changes[f"v{number}"]["audio_peak_db"] = -120 if number else -61
    for number in range(num_without):
        changes[f"v{23 - number}"] = {"has_audio": False}
    break_rows(tmp_path / "videos.jsonl", "video_id", changes)
    found = run(tmp_path, ("pictures", "sound"))
    assert [finding.rule.name for finding in found.stopping] == [
        *(["most_videos_have_sound"] if num_without == 4 else []),
        *(["most_sound_is_heard"] if num_silent == 4 else []),
    ]
    assert bool(found.stopping) == stops
    assert list_named(found, "videos.videos_have_sound") == [f"v{number}" for number in range(24 - num_without, 24)]
    assert list_named(found, "videos.sound_is_heard") == [f"v{number}" for number in range(num_silent)]
    without = run(tmp_path, ("pictures",))
    assert not without.stopping
    assert not [finding for finding in without.findings if "sound" in finding.rule.name]


@pytest.mark.slow
def test_videos_with_features_only_pass_without_properties_of_files(tmp_path: Path) -> None:
    save_good_corpus(tmp_path)
    break_rows(tmp_path / "videos.jsonl", "video_id", {f"v{number}": dict.fromkeys(OF_A_FILE) for number in range(24)})
    assert [finding.describe() for finding in run(tmp_path).findings if not finding.success] == []


def test_a_video_that_lacks_only_some_facts_of_a_file_fails(tmp_path: Path) -> None:
    save_good_corpus(tmp_path, 3)
    changes = {"v0": dict.fromkeys(OF_A_FILE, 0) | {"path": "", "codec": ""}, "v1": dict.fromkeys(("path", "codec"))}
    break_rows(tmp_path / "videos.jsonl", "video_id", changes)
    missing = load_tables(tmp_path).videos["missing_fields"]
    assert missing.dropna().tolist() == ["path, codec"] * 2


@pytest.mark.slow
def test_values_of_any_type_are_named_never_a_crash(tmp_path: Path) -> None:
    save_good_corpus(tmp_path, 12)
    odd: list[Any] = [["x"], {"a": 1}, 5, "\ud800", True, 10**400, float("inf")]
    fields = ("video_id", "text", "spans", "elsewhere", "annotators", "saliency", "tags")
    rows = [
        {"qid": f"{field}{number}", "video_id": "v0", "text": "a dog", "split": "train", "source": "human", "spans": [[0, 1]]}
        | {field: value}
        for field in fields
        for number, value in enumerate(odd)
    ]
    with (tmp_path / "queries.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    named = list_named(run(tmp_path), "queries.fields_have_their_types")
    right = {"elsewhere1", "saliency1", "tags1"}  # these columns hold mappings
    assert {row["qid"] for row in rows} - set(named) <= right


def test_a_line_that_is_not_an_object_is_named_with_its_file(tmp_path: Path) -> None:
    save_good_corpus(tmp_path)
    with (tmp_path / "queries.jsonl").open("a") as file:
        file.write("[1]\n")
    with pytest.raises(ValueError, match=r"queries\.jsonl line 25 holds no JSON object; run: dvc repro --force ingest"):
        run(tmp_path)


@pytest.mark.slow
def test_of_ten_thousand_failing_queries_a_hundred_are_listed(tmp_path: Path) -> None:
    save_good_corpus(tmp_path, 99_999)
    break_rows(tmp_path / "queries.jsonl", "qid", {f"q{number}": {"spans": [[1, 99]]} for number in range(10_000)})
    found = run(tmp_path)
    (failure,) = found.to_verdict()["failures"]
    assert (failure["num_failing"], len(failure["rows"])) == (10_000, 100)
    assert describe_failures(found.stopping, tmp_path).count("\n") == 2


@pytest.mark.slow
def test_the_message_names_the_failures_the_docs_and_the_remedy(tmp_path: Path) -> None:
    save_good_corpus(tmp_path)
    break_rows(tmp_path / "videos.jsonl", "video_id", {"v1": {"rotation": 45}})
    assert describe_failures(run(tmp_path).stopping, Path("docs")) == (
        "the corpus is not fit for training; 1 rule is broken:\n"
        "  videos.rotations_are_quarter_turns: expect_column_values_to_be_in_set(column='rotation', "
        "value_set=[0, 90, 180, 270]) fails for 1: v1 (line 2, rotation 45)\n"
        "see docs/index.html; correct the annotations or videos of the corpus, then run: dvc repro"
    )

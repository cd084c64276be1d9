"""Suites of the data gate: a user's file changes, adds and drops rules, and errors name its mistakes."""

import shutil
from pathlib import Path

import pytest

from corpus.gate.findings import Finding
from corpus.gate.suites import Rule, load_suite
from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, save_corpus
from documented_commands import read_blocks
from stages.validate import validate_corpus

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_.*' is deprecated:DeprecationWarning")  # Great Expectations
PRESETS = Path(__file__).resolve().parents[3] / "presets" / "suite"


def load(folder: Path, content: str) -> list[Rule]:
    shutil.copy(PRESETS / "default.yaml", folder)
    (folder / "mine.yaml").write_text(content, encoding="utf-8")
    return load_suite("mine", folder)


def find(rules: list[Rule], name: str) -> Rule:
    (rule,) = [rule for rule in rules if f"{rule.table}.{rule.name}" == name]
    return rule


def check(folder: Path, content: str) -> dict[str, Finding]:
    """Return the findings of a suite by name, for three videos with a sentence of five words each."""
    videos = [
        Video(
            video_id=f"v{number}",
            path=f"{number}.mp4",
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
        for number, split in enumerate(("train", "val", "test"))
    ]
    queries = [
        Query(f"q{number}", video.video_id, f"the dog runs {number} times", (Moment(1, 4),), video.split)
        for number, video in enumerate(videos)
    ]
    save_corpus(Corpus(tuple(videos), tuple(queries)), folder / "corpus")
    found = validate_corpus(folder / "corpus", load(folder, content), docs_dir=folder / "docs")
    return {f"{finding.rule.table}.{finding.rule.name}": finding for finding in found.findings}


def test_a_rule_of_the_same_name_replaces_only_the_values_that_it_gives(tmp_path: Path) -> None:
    rule = find(
        load(tmp_path, "queries: {sentences_are_short: {max_value: 90, severity: critical}}"), "queries.sentences_are_short"
    )
    assert rule.values == {"column": "num_words", "max_value": 90}
    assert (rule.type, rule.severity) == ("expect_column_values_to_be_between", "critical")


def test_a_rule_of_another_type_replaces_all_of_the_old_one(tmp_path: Path) -> None:
    text = "queries: {sentences_are_short: {type: expect_column_max_to_be_between, column: num_words, max_value: 9}}"
    rule = find(load(tmp_path, text), "queries.sentences_are_short")
    assert (rule.severity, dict(rule.values)) == ("critical", {"column": "num_words", "max_value": 9})


def test_an_empty_rule_is_dropped_and_the_others_stay(tmp_path: Path) -> None:
    names = [rule.name for rule in load(tmp_path, "videos:\n  widths_are_usual:\n")]
    default = [rule.name for rule in load_suite("default", PRESETS)]
    assert [name for name in default if name not in names] == ["widths_are_usual"]


def test_a_rule_of_sound_applies_where_a_stream_of_sound_is_chosen(tmp_path: Path) -> None:
    rules = load(tmp_path, "videos: {videos_have_sound: {only_with: pictures}}")
    assert find(rules, "videos.most_videos_have_sound").applies_to({"pictures", "sound"})
    assert not find(rules, "videos.most_videos_have_sound").applies_to({"pictures"})
    assert find(rules, "videos.videos_have_sound").applies_to({"pictures"})
    assert find(rules, "videos.ids_are_unique").applies_to(())


@pytest.mark.slow
def test_a_changed_bound_and_an_added_expectation_are_checked(tmp_path: Path) -> None:
    found = check(
        tmp_path,
        """
        queries:
          sentences_are_short: {max_value: 4}
          numbers_are_high: {type: expect_column_values_to_match_regex, column: text, regex: "[12] times", notes: house rule}
          few_in_training:
            type: expect_column_mean_to_be_between
            column: num_words
            max_value: 3
            row_condition: {type: comparison, column: {name: split}, operator: "==", parameter: train}
            severity: info
        """,
    )
    assert found["queries.sentences_are_short"].num_failing == 3
    assert not found["queries.sentences_are_short"].stops
    assert [row["qid"] for row in found["queries.numbers_are_high"].rows] == ["q0"]
    assert found["queries.numbers_are_high"].stops
    assert found["queries.few_in_training"].observed == 5
    assert not found["queries.few_in_training"].stops


def test_a_rule_that_cannot_be_checked_stops_the_pipeline_at_any_severity(tmp_path: Path) -> None:
    text = "queries: {odd: {type: expect_column_values_to_match_regex, column: text, regex: '(', severity: warning}}"
    odd = check(tmp_path, text)["queries.odd"]
    assert odd.stops
    assert "cannot be checked: Invalid regular expression: missing )" in odd.describe()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "{type: expect_column_values_to_be_betwen}",
            r"unknown type '.*betwen'; did you mean expect_column_values_to_be_between",
        ),
        ("{type: zzz}", r"unknown type 'zzz'; known: expect_column_distinct_values_to_be_in_set, "),
        ("{type: expect_column_mean_to_be_between, column: words, max_value: 3}", r"no column 'words'; known: qid, video_id, "),
        ("{type: expect_column_mean_to_be_between, column: fps, max_value: 3}", r"the table of queries has no column 'fps'"),
        (
            "{type: expect_compound_columns_to_be_unique, column_list: [qid, sentnce]}",
            r"no column 'sentnce'; known: .*sentence",
        ),
        (
            "{type: expect_column_mean_to_be_between, column: num_words, max_valu: 3}",
            r"unknown value max_valu = 3 of expect_column_mean_to_be_between; known: column, .*max_value",
        ),
        ("{type: expect_column_mean_to_be_between, max_value: 3}", r"column: field required"),
        ("{type: expect_column_values_to_be_in_set, column: split, value_set: 5}", r"value_set: value is not a valid"),
        ("{type: expect_column_values_to_be_unique, column: qid, mostly: 2}", r"mostly: ensure this value is less than"),
    ],
)
def test_a_wrong_rule_is_named_with_its_file_and_the_known_values(tmp_path: Path, rule: str, message: str) -> None:
    from corpus.gate.expectations import build_expectations

    rules = [find(load(tmp_path, f"queries: {{odd: {rule}}}"), "queries.odd")]
    with pytest.raises(ValueError, match=rf"mine\.yaml: queries\.odd: .*{message}"):
        build_expectations(rules, ["qid", "video_id", "text", "split", "sentence", "num_words"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("videos: {videos_have_sound: {only_with: smell}}", r"only_with.* 'pictures' or 'sound'"),
        ("video: {}", r"mine\.yaml: unknown key video = \{\}; known: queries, videos"),
        ("queries: [1]", r"mine\.yaml: queries must map names of rules to rules, got \[1\]"),
        ("queries: {odd: 5}", r"mine\.yaml: queries\.odd = 5: Input should be a valid dictionary"),
        ("queries: {odd: {column: qid}}", r"mine\.yaml: the key queries\.odd\.type is missing"),
        ("queries:\n  odd:", r"mine\.yaml: queries\.odd drops a rule that the default suite does not have; known: there_are"),
        ("videos: {there_are_frames: {severity: fatal}}", r"severity = 'fatal': Input should be 'critical', 'warning' or 'info'"),
    ],
)
def test_a_wrong_suite_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(tmp_path, content)


def test_a_suite_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    shutil.copy(PRESETS / "default.yaml", tmp_path)
    with pytest.raises(ValueError, match=r"nobody\.yaml does not exist: there is no .* named 'nobody'; known: default"):
        load_suite("nobody", tmp_path)


def test_the_suite_of_the_docs_is_checked_as_written(tmp_path: Path) -> None:
    (documented,) = read_blocks("docs/data_gate.md", "yaml")
    findings = check(tmp_path, documented)
    assert findings["queries.clocks_are_written_out"].success
    assert "queries.sentences_differ" not in findings
    assert findings["queries.sentences_are_short"].rule.severity == "critical"
    assert not findings["videos.sound_is_there"].success

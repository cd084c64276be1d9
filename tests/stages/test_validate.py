"""The data gate: good tables pass, each kind of bad row is named, the report is the same for the same data."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, save_corpus
from stages.support.params import ValidateParams
from stages.validate import describe_failures, validate_corpus

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_.*' is deprecated:DeprecationWarning")  # Great Expectations
PARAMS = ValidateParams(max_query_words=5)


QUERY_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "q0": ({"spans": [[5, 3]]}, r"column='shortest_moment_s'"),
    "q1": ({"spans": [[1, 99]]}, r"column_B='last_end_s'"),
    "q2": ({"spans": [[-1, 3]]}, r"column='first_start_s'"),
    "q3": ({"spans": []}, r"column='num_moments'"),
    "q4": ({"split": "other"}, r"column_B='video_split'"),
    "q5": ({"video_id": "ghost"}, r"null\(column='video_duration_s'"),
    "q6": ({"text": "one two three four five six"}, r"column='num_words'"),
    "q7": ({"text": "?!"}, r"column='num_words'"),
    "q8": ({"elsewhere": {"v1": [[0, 1]]}}, r"column='elsewhere_outside_split'"),
    "q9": ({"source": None}, r"null\(column='source'"),
}
VIDEO_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "v0": ({"duration_s": 0.0}, r"column='duration_s'"),
    "v1": ({"fps": 2000.0}, r"column='fps'"),
    "v2": ({"rotation": 45}, r"column='rotation'"),
    "v3": ({"codec": None}, r"null\(column='codec'"),
    "v4": ({"sha256": f"{5:064d}"}, r"column='splits_of_content'"),
    "v5": ({"num_frames": 0}, r"column='num_frames'"),
    "v6": ({"has_audio": "yes"}, r"column='has_audio'"),
    "v7": ({"width": 0}, r"column='width'"),
    "v8": ({"sha256": "short"}, r"column='sha256'"),
}


def save_good_corpus(folder: Path) -> None:
    splits = [("train", "val", "test")[number % 3] for number in range(10)]
    videos = [
        Video(f"v{number}", f"videos/v{number}.mp4", split, 10.0, 25.0, 250, 8, 8, 0, "h264", False, f"{number:064d}")
        for number, split in enumerate(splits)
    ]
    queries = [
        Query(f"q{number}", f"v{number}", "a dog runs", (Moment(1, 4), Moment(5, 10.0)), split)
        for number, split in enumerate(splits)
    ]
    save_corpus(Corpus(tuple(videos), tuple(queries)), folder)


def break_rows(path: Path, key: str, faults: dict[str, tuple[dict[str, Any], str]]) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    broken = [row | faults[row[key]][0] if row[key] in faults else row for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in broken))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """The failures of a corpus with one fault in every row, and its Data Docs."""
    folder = tmp_path_factory.mktemp("broken")
    save_good_corpus(folder)
    break_rows(folder / "queries.jsonl", "qid", QUERY_FAULTS)
    break_rows(folder / "videos.jsonl", "video_id", VIDEO_FAULTS)
    report = validate_corpus(folder, PARAMS, docs_dir=folder / "docs")
    assert not report["success"]
    return report["failures"], folder / "docs"


def test_a_good_corpus_passes_and_the_report_is_deterministic(tmp_path: Path) -> None:
    save_good_corpus(tmp_path)
    one, two = (validate_corpus(tmp_path, PARAMS, docs_dir=tmp_path / "docs") for _ in range(2))
    assert one["failures"] == []
    assert one["success"]
    assert one["rows"] == {"videos": 10, "queries": 10}
    assert json.dumps(one, allow_nan=False) == json.dumps(two, allow_nan=False)


@pytest.mark.parametrize(("key", "rule"), [(key, rule) for key, (_, rule) in (QUERY_FAULTS | VIDEO_FAULTS).items()])
def test_a_bad_row_is_named_with_the_rule_it_breaks(broken: tuple[list[str], Path], key: str, rule: str) -> None:
    failures, _ = broken
    assert any(re.search(rf"{rule}.*: fails for .*\b{key}\b", line) for line in failures), failures


def test_rows_given_twice_and_values_of_a_wrong_type_are_named(tmp_path: Path) -> None:
    save_good_corpus(tmp_path)
    break_rows(tmp_path / "queries.jsonl", "qid", {"q1": ({"qid": "q0"}, "")})
    break_rows(tmp_path / "videos.jsonl", "video_id", {"v1": ({"duration_s": "long"}, ""), "v4": ({"video_id": "v3"}, "")})
    failures = validate_corpus(tmp_path, PARAMS, docs_dir=tmp_path / "docs")["failures"]
    assert "queries: expect_column_values_to_be_unique(column='qid'): fails for q0, q0" in failures
    assert "videos: expect_column_values_to_be_unique(column='video_id'): fails for v3, v3" in failures
    assert any("column='duration_s'" in line and "same type" in line for line in failures)


def test_data_docs_exist_on_failure_name_the_rows_and_load_nothing_from_elsewhere(broken: tuple[list[str], Path]) -> None:
    _, docs = broken
    start_page = (docs / "index.html").read_text()
    assert "fails for 2: q6, q7" in start_page
    pages = list(docs.rglob("*.html"))
    assert {"queries", "videos"} <= {
        page.parts[page.parts.index("validations") + 1] for page in pages if "validations" in page.parts
    }
    for link in re.findall(r'<a href="([^"]+)"', start_page):
        assert (docs / link).is_file()
    for page in pages:
        assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://', page.read_text())


def test_an_empty_corpus_fails_the_gate(tmp_path: Path) -> None:
    save_corpus(Corpus((), ()), tmp_path / "corpus")
    report = validate_corpus(tmp_path / "corpus", PARAMS, docs_dir=tmp_path / "docs")
    assert any("queries: expect_table_row_count_to_be_between(min_value=1): found 0" in line for line in report["failures"])


def test_the_message_names_the_failures_the_docs_and_the_remedy() -> None:
    message = describe_failures(["queries: x fails for q1"], Path("docs"))
    assert message == (
        "the corpus is not fit for training, 1 expectations fail:\n  queries: x fails for q1\n"
        "see docs/index.html; correct the annotations or videos of the corpus, then run: dvc repro"
    )

"""Tables and JSON files written by people and spreadsheets: read, or refused with file, line and remedy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.moments import Moment
from corpus.readers import build_reader
from corpus.readers.base import ReadResult
from corpus.readers.parsing.times import parse_time

ReadTable = Callable[[str | bytes], ReadResult]
HEADER = "video,start,end,query\n"
ROW = "a.mp4,1,2,A dog.\n"
LINE: dict[str, Any] = {"qid": "q1", "vid": "a", "duration": 20.0, "query": "A dog.", "relevant_windows": [[1, 2]]}


@pytest.fixture
def read_table(tmp_path: Path) -> ReadTable:
    """Read a folder with this table."""

    def write_and_read(content: str | bytes, name: str = "annotations.csv") -> ReadResult:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return build_reader("folder").read(tmp_path)

    return write_and_read


def read_file(root: Path, name: str, content: str) -> ReadResult:
    root.mkdir(exist_ok=True)
    (root / name).write_text(content, encoding="utf-8")
    return build_reader("folder").read(root)


@pytest.mark.parametrize(
    "content",
    [
        HEADER + ROW,
        "\n \n" + HEADER + ROW,
        ",,,\n" + HEADER + ROW,
        "sep=,\n" + HEADER + ROW,
        "sep=;\r\nvideo;start;end;query\r\na.mp4;1;2;A dog.\r\n",
        '"sep=;"\nvideo;start;end;query\na.mp4;1,0;2;A dog.\n',
        'video, start, end, query\na.mp4, 1, 2, "A dog."\n',
        'video , start ,"end" , "query"\n"a.mp4" , 1 ,"2" , "A dog." \n',
        " Video ,START,End, Query ,,\na.mp4,1,2,A dog.,,\n,,,,,\n",
        "\ufeffvideo\tstart\tend\tquery\na.mp4\t1\t2\tA dog.\n",
        "video\u00a0,start,end,query\n\u00a0a.mp4,1,2,A dog.\u00a0\n",
        HEADER + "videos/a.mp4,1,2,A dog.\n",
        HEADER + "./videos/a.mp4,1,2,A dog.\n",
        HEADER + "C:\\clips\\a.mp4,1,2,A dog.\n",
        HEADER + "/home/me/clips/a.MP4,0:01,00:00:02.000,A dog.\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_as_spreadsheets_write_it_is_read(read_table: ReadTable, content: str, encoding: str) -> None:
    (query,) = read_table(content.encode(encoding)).queries
    assert (query.video_id, query.text, query.spans) == ("a", "A dog.", (Moment(1, 2),))


def test_rows_are_named_by_their_line_if_lines_precede_the_header(read_table: ReadTable) -> None:
    found = read_table("\nsep=,\n\n" + HEADER + '"a",1,2,"A dog,\nrunning."\n\n' + "b,1,2,A cat.\n")
    assert list(found.rows.values()) == ["annotations.csv line 5", "annotations.csv line 8"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "a,0.000717592592592593,0.00081,A dog.\n", r"line 2: .* 0\.0924 ms long; .*0:01:02\.0 to 0:01:10\.0: format"),
        (HEADER + "a,0.01,0.0600115,A dog.\n", r"line 2: .* 50 ms long; as parts of a day, .* 0:14:24\.0 to 1:26:25\.0"),
        (HEADER + "a,83.5,83.505,A dog.\n", r"line 2: the moment \[83\.5, 83\.505\] is 5 ms long; correct these times"),
        (HEADER + "a,12:00:05 AM,12:00:09 AM,A dog.\n", r"line 2: '12:00:05 AM' is not a time .* a time of the day; format"),
        (HEADER + 'a,"1,5","2,5",A dog.\n', r"line 2: '1,5' is not a time; write seconds"),
        (HEADER + 'a,1,2,"A dog" runs\n', r"line 2: a cell continues after its closing quote; double every quote"),
        (HEADER + "cam1/a.mp4,1,2,A dog.\ncam2/a.mp4,1,2,A dog.\n", r"line 3: 'cam1/a.mp4' and 'cam2/a.mp4' would both be the"),
        (HEADER + "clips/,1,2,A dog.\n", r"line 2: the path 'clips/' names no file"),
        (HEADER + "a,1,2,A\0dog.\n", r"line 2 holds a NUL character: .*; save the file as UTF-8"),
        ((HEADER + "a,1,2,caf\u00e9\n").encode("cp1252"), r"line 2 is not UTF-8 \(byte 0xe9\); save the file as UTF-8"),
        ("video,start\n", r"line 1: the header needs the columns .* found 'video', 'start'.*; correct the first line"),
        (b"\xff\xfe" + (HEADER + "a").encode("utf-16-le") + b"\x00", r"line 2 is not UTF-16"),
    ],
)  # fmt: skip
def test_a_misleading_table_is_refused_with_line_and_remedy(read_table: ReadTable, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"annotations\.csv {message}"):
        read_table(content)


def test_short_times_of_a_frame_rate_are_not_parts_of_a_day(read_table: ReadTable) -> None:
    (query,) = read_table(HEADER + "a,0.033333,0.966667,A dog.\n").queries
    assert query.spans == (Moment(0.033333, 0.966667),)


def test_forms_of_one_name_and_sentence_are_one_query(read_table: ReadTable) -> None:
    found = read_table(HEADER + "caf\u00e9,1,2,Le caf\u00e9.\ncafe\u0301.mp4,3,4,Le cafe\u0301.\n")
    ((query),) = found.queries
    assert (query.video_id, query.text, len(query.spans)) == ("caf\u00e9", "Le caf\u00e9.", 2)


@pytest.mark.parametrize(
    "name", ["Annotations.CSV", "ANNOTATIONS.csv", "annotations.tsv", "annotations.txt", "annotations.csv.txt"]
)
def test_a_table_is_found_in_any_case_and_with_any_suffix(tmp_path: Path, name: str) -> None:
    (query,) = (found := read_file(tmp_path, name, HEADER + ROW)).queries
    assert found.rows[query.qid] == f"{name} line 2"


def lay_out(form: str) -> str:
    rows = [LINE, LINE | {"qid": "q2", "vid": "b"}]
    if form == "list":
        return json.dumps(rows)
    if form == "spread list":
        return "\n" + json.dumps(rows, indent=2)
    if form == "spread objects":
        return "\n".join(json.dumps(row, indent=2) for row in rows)
    return "\n".join(map(json.dumps, rows))


@pytest.mark.parametrize("form", ["lines", "list", "spread list", "spread objects"])
@pytest.mark.parametrize("name", ["annotations.jsonl", "annotations.json", "Annotations.NDJSON"])
def test_json_is_read_however_it_is_laid_out(tmp_path: Path, name: str, form: str) -> None:
    found = read_file(tmp_path, name, lay_out(form))
    assert [(query.qid, query.video_id, query.spans) for query in found.queries] == [
        ("q1", "a", (Moment(1, 2),)),
        ("q2", "b", (Moment(1, 2),)),
    ]


def test_json_over_several_lines_names_rows_by_their_first_line(tmp_path: Path) -> None:
    found = read_file(tmp_path, "annotations.json", json.dumps([LINE, LINE | {"qid": "q2"}], indent=1))
    first, second = (int(row.rpartition(" ")[2]) for row in found.rows.values())
    assert first == 2
    assert json.dumps([LINE], indent=1).count("\n") + 1 == second


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(LINE | {"relevant_windows": [[1, 2], [3, 4], [1, 2]]}), r"line 1: the window \[1\.0, 2\.0\] is given twice"),
        (json.dumps(LINE | {"annotators": [[[1, 2], [1, 2]]]}), r"line 1: the window \[1\.0, 2\.0\] is given twice"),
        (json.dumps(LINE | {"relevant_windows": [[0.0001, 0.0002]]}), r"line 1: the moment .* is 0\.1 ms long"),
        (json.dumps(LINE | {"elsewhere": {"b": [[1, 2]], "b.mp4": [[1, 2]]}}), r"line 1: elsewhere names the video 'b' twice"),
        ("{\n  \"qid\": 1,\n  oops\n}\n", r"line 3 is not JSON: .*; correct it, or write one JSON object a line"),
        ("[\n" + json.dumps(LINE) + "\n", r"line \d is not JSON: "),
        ("[1, 2]", r"line 1: it must be a JSON object, got \[1, 2\]"),
    ],
)  # fmt: skip
def test_json_that_is_wrong_is_refused_with_line_and_remedy(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"annotations\.jsonl {message}"):
        read_file(tmp_path, "annotations.jsonl", content)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Annotations.CSV", "annotations.json"), r"annotations\.json and .*Annotations\.CSV both exist; keep only the file"),
        (("annotations.xlsx",), r"annotations\.xlsx is a spreadsheet, which is not read; save it as .*annotations\.csv"),
        (("labels.csv", "notes.txt"), r"annotations\.jsonl does not exist; .*; found labels\.csv: rename the one that holds"),
        (
            ("._annotations.csv",),
            r"annotations\.jsonl does not exist; put videos/ .* annotations\.csv there$",
        ),
    ],
)
def test_files_that_are_not_the_annotations_are_named(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text(HEADER + ROW)
    with pytest.raises(ValueError, match=message):
        build_reader("folder").read(tmp_path)


def test_a_time_of_day_is_refused_with_the_format_of_the_cells() -> None:
    with pytest.raises(ValueError, match=r"format the cells as \[h\]:mm:ss"):
        parse_time("0:01:02 pm")


@pytest.mark.parametrize("suffix", [".mp4", ".MP4", ".avi.mp4"])
@pytest.mark.parametrize(
    ("reader", "old", "new"),
    [
        ("charades_sta", "AO8RW", "AO8RW{}"),
        ("activitynet_captions", "v_one", "v_one{}"),
        ("didemo", "1@N0_2.mov", "1@N0_2{}"),
        ("folder", "v1", "v1{}"),
        ("kpf", "", ""),
        ("qvhighlights", "abc_60.0_210.0", "abc_60.0_210.0{}"),
        ("tacos", "s1-d1.avi", "s1-d1{}"),
    ],
)
def test_suffixes_in_annotations_do_not_count_for_any_reader(
    read: Any, corpora: Any, reader: str, old: str, new: str, suffix: str
) -> None:
    plain = read(reader)
    changes = {name: text.replace(old, new.format(suffix)) for name, text in corpora[reader].items()} if old else {}
    assert [query.video_id for query in read(reader, changes).queries] == [query.video_id for query in plain.queries]


@pytest.mark.parametrize("file", ["charades_sta_train.txt", "Charades_v1_train.csv"])
def test_the_two_files_of_charades_may_name_a_video_differently(read: Any, corpora: Any, file: str) -> None:
    changed = corpora["charades_sta"][file].replace("AO8RW", "AO8RW.mp4")
    found = read("charades_sta", {file: changed})
    assert found.durations_s == {"AO8RW": 33.67, "3MSZA": 30.96}

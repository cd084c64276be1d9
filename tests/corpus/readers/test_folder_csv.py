"""CSV file of the folder reader, as written by people and spreadsheets."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.moments import Moment
from corpus.readers.base import ReadResult
from corpus.readers.parsing.times import parse_time

Read = Callable[..., ReadResult]
HEADER = "video,start,end,query\n"


@pytest.fixture
def read_csv(read: Read) -> Callable[[str], ReadResult]:
    """Read a folder with only a CSV file."""
    return lambda text: read("folder", {"annotations.jsonl": None, "annotations.csv": text})


def test_a_row_becomes_a_query(read_csv: Callable[[str], ReadResult]) -> None:
    found = read_csv(HEADER + "holiday.mp4,4.0,9.5,A dog jumps into the lake.\n")
    (query,) = found.queries
    assert (query.qid, query.video_id, query.text) == ("line-2", "holiday", "A dog jumps into the lake.")
    assert (query.spans, query.split, query.source) == ((Moment(4, 9.5),), "", "human")
    assert found.rows == {"line-2": "annotations.csv line 2"}
    assert found.durations_s == {}


def test_rows_of_one_video_and_query_are_windows_of_one_query(read_csv: Callable[[str], ReadResult]) -> None:
    found = read_csv(HEADER + "a,1,2,a dog\nb,1,2,a dog\na.MP4,5,6,  a  dog \n")
    assert [(query.qid, query.spans) for query in found.queries] == [
        ("line-2", (Moment(1, 2), Moment(5, 6))),
        ("line-3", (Moment(1, 2),)),
    ]
    assert found.rows["line-2"] == "annotations.csv lines 2, 4"
    assert found.num_rows == {"": 3}


def test_ids_and_splits_are_read_in_any_order_and_case_beside_other_columns(read_csv: Callable[[str], ReadResult]) -> None:
    text = "Query,notes,Video,END,Start,Split,QID\na dog,x,v,2,1,Train,one\na dog,,v,4,3,train,one\na dog,,v,6,5,train,two\n"
    assert [(query.qid, query.split, len(query.spans)) for query in read_csv(text).queries] == [
        ("one", "train", 2),
        ("two", "train", 1),
    ]


@pytest.mark.parametrize("quoted", ['"a dog, a cat and ""Rex"""', '"a dog,\na cat and ""Rex"""'])
def test_sentences_in_quotes_hold_commas_quotes_and_line_ends(read_csv: Callable[[str], ReadResult], quoted: str) -> None:
    first, second = read_csv(f"{HEADER}v,1,2,{quoted}\n\n ,,,\nw,1,2,x\n").queries
    assert first.text.split() == ["a", "dog,", "a", "cat", "and", '"Rex"']
    assert second.qid == f"line-{5 + quoted.count(chr(10))}"


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_the_delimiters_of_other_countries_come_with_decimal_commas(
    read_csv: Callable[[str], ReadResult], delimiter: str
) -> None:
    text = HEADER.replace(",", delimiter) + delimiter.join(["v", "1,5", "1:02.25", "a dog, a cat"])
    (query,) = read_csv(text).queries
    assert (query.spans, query.text) == ((Moment(1.5, 62.25),), "a dog, a cat")


@pytest.mark.parametrize(
    ("text", "time_s"),
    [("83.5", 83.5), ("1:23.5", 83.5), ("0:01:23.5", 83.5), ("75:30", 4530.0), ("1:00:00", 3600.0), (".5", 0.5), ("7.", 7.0)],
)
def test_times_are_seconds_or_clock_times(text: str, time_s: float) -> None:
    assert parse_time(text) == time_s


@pytest.mark.parametrize(
    "text", ["", "1:75", "1:60:00", "-1", "1e3", "nan", "inf", "1.2.3", "1,5", "1:2:3:4", "٣", "0x10", "9" * 9]
)
def test_text_that_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(text)


@given(milliseconds=st.integers(0, 100 * 3600 * 1000))
def test_a_clock_time_is_read_as_shown(milliseconds: int) -> None:
    seconds, rest = divmod(milliseconds, 1000)
    shown = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
    assert parse_time(shown) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,start,end\nv,1,2\n", "line 1: the header needs the columns video,start,end,query; found 'video', 'start', 'end'"),
        ("v,1,2,a dog\n", "line 1: the header needs .* found 'v', '1', '2', 'a dog', split at commas"),
        ("video,start,end,query,query\n", "line 1: the header has the column 'query' twice"),
        ("video,start,end,query,splt\n", "line 1: unknown column 'splt'; did you mean 'split'\\?"),
        (HEADER + "v,1,2,a dog, a cat\n", "line 2: 5 cells under 4 columns; a text with ',' needs quotes: 'v,1,2,a dog, a cat'"),
        (HEADER + 'v,1,2,"a dog\n', "line 2: unexpected end of data; is a quote not closed\\?"),
        (HEADER + "v,1,2\n", "line 2: the column query is empty"),
        (HEADER + ",1,2,a dog\n", "line 2: the column video is empty"),
        (HEADER + "v,1,x,a dog\n", "line 2: 'x' is not a time; write seconds \\(83.5\\) or minutes:seconds \\(1:23.5\\)"),
        (HEADER + "v,2,1,a dog\n", "line 2: Moment needs 0 <= start_s < end_s, got start_s=2.0, end_s=1.0"),
        (HEADER + "v,1,2,...\n", "line 2: .*the sentence '...' has no words"),
        (HEADER + "v,1,2,a dog\n\nv,1,2,a dog\n", "line 4: it repeats line 2; remove one"),
        ("video,start,end,query,qid\nv,1,2,a dog,\n", "line 2: the column qid is empty"),
        ("video,start,end,query,qid\nv,1,2,a dog,1\nw,1,2,a dog,1\n", "line 3: 'w' here and 'v' in line 2, though both rows are"),
        ("video,start,end,query,split\nv,1,2,a,train\nv,3,4,a,test\n", "line 3: 'test' here and 'train' in line 2"),
        (
            "video,start,end,query,split\nv,1,2,a,validation\n",
            "line 2: a split is train, val, test, gate or test_<name>, got 'validation'",
        ),
    ],
)
def test_wrong_rows_are_named_by_line(read_csv: Callable[[str], ReadResult], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"annotations.csv {message}"):
        read_csv(text)


def test_all_wrong_rows_are_named_at_once(read_csv: Callable[[str], ReadResult]) -> None:
    with pytest.raises(ValueError, match="line 2: .*") as caught:
        read_csv(HEADER + "v,x,2,a dog\nv,1,2,a dog\nv,1,y,a cat\n")
    assert [line.rpartition("annotations.csv ")[2][:6] for line in str(caught.value).splitlines()] == ["line 2", "line 4"]


def test_an_empty_table_is_an_empty_corpus(read_csv: Callable[[str], ReadResult]) -> None:
    with pytest.raises(ValueError, match="empty corpus: .*annotations.csv holds no queries"):
        read_csv(HEADER)


def test_two_files_of_annotations_are_refused_naming_both(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="annotations.jsonl and .*annotations.csv both exist; keep only the file"):
        read("folder", {"annotations.csv": HEADER})

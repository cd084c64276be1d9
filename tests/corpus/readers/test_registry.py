"""Contract of every reader: it reads its published files with any line ending, and names malformed files."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.readers import build_reader, list_readers
from corpus.readers.base import ReadResult

Read = Callable[..., ReadResult]
Corpora = Mapping[str, Mapping[str, str]]
FILES = [
    ("activitynet_captions", "train.json"),
    ("charades_sta", "charades_sta_train.txt"),
    ("charades_sta", "Charades_v1_train.csv"),
    ("didemo", "train_data.json"),
    ("folder", "annotations.jsonl"),
    ("kpf", "train/clip.activities.yml"),
    ("kpf", "train/clip.types.yml"),
    ("qvhighlights", "highlight_train_release.jsonl"),
    ("tacos", "train.json"),
]
BITS = (
    "-1",
    "NaN",
    "Infinity",
    "true",
    "1e999",
    "9" * 400,
    "null",
    '""',
    "[",
    "{",
    '"',
    "\\ud800",
    "\x00",
    "\ufeff",
    "##",
    "&a [*a]",
    ",",
)


def read_or_refuse(read: Read, name: str, changes: Mapping[str, str | bytes]) -> tuple[ReadResult | None, str]:
    """Return the result, or the message of a ValueError; let other errors pass."""
    try:
        return read(name, changes), ""
    except ValueError as error:
        return None, str(error)


def test_the_small_corpora_cover_every_reader(corpora: Corpora) -> None:
    assert sorted(corpora) == list_readers()


def test_an_unknown_reader_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="there is no reader named 'foldr'; known: activitynet_captions, charades_sta, .*folder"):
        build_reader("foldr")


@pytest.mark.parametrize("name", list_readers())
def test_a_query_has_a_row_and_its_video_has_no_suffix(name: str, read: Read) -> None:
    found = read(name)
    assert set(found.rows) == {query.qid for query in found.queries} != set()
    assert {query.video_id[-4:] for query in found.queries}.isdisjoint({".avi", ".mov"})
    assert sum(found.num_rows.values()) == len(found.queries)
    assert (found.dropped, found.clipped) == ((), ())


@pytest.mark.parametrize("name", list_readers())
def test_a_folder_that_is_missing_or_empty_is_refused_with_where_its_files_come_from(name: str, tmp_path: Path) -> None:
    for root in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ValueError, match=rf"{root}.*; (it is|put) ") as caught:
            build_reader(name).read(root)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("name", "file"), FILES)
def test_byte_order_mark_and_foreign_line_ends_change_nothing(name: str, file: str, read: Read, corpora: Corpora) -> None:
    expected, text = read(name), corpora[name][file]
    for changed in ("\ufeff" + text, text.replace("\n", "\r\n"), text + "\n\n", text.replace("\n", "\r")):
        assert read(name, {file: changed}) == expected


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_file_that_is_not_utf8_is_named_with_line_and_remedy(name: str, file: str, read: Read, corpora: Corpora) -> None:
    with pytest.raises(ValueError, match=rf"{file} line \d+ is not UTF-8 \(byte 0xe9\); save the file as UTF-8"):
        read(name, {file: corpora[name][file].encode() + b"caf\xe9"})


@pytest.mark.parametrize(("name", "file"), FILES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_utf16_is_read_as_the_same_in_utf8(name: str, file: str, encoding: str, read: Read, corpora: Corpora) -> None:
    assert read(name, {file: corpora[name][file].encode(encoding)}) == read(name)


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_nul_character_is_named_with_its_line(name: str, file: str, read: Read, corpora: Corpora) -> None:
    with pytest.raises(ValueError, match=rf"{file} line \d+ holds a NUL character: .*; save the file as UTF-8"):
        read(name, {file: corpora[name][file] + "x\0y"})


@pytest.mark.parametrize(("name", "file"), FILES)
@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "7", "[" * 100_000, "- " * 100_000, '{"a": ' * 100_000, "\x00", "<html></html>"]
)
def test_a_file_of_another_kind_is_refused_by_name(name: str, file: str, content: str, read: Read) -> None:
    found, message = read_or_refuse(read, name, {file: content})
    if found is None:
        assert file in message or "empty corpus" in message
    else:
        assert content in ("", "[]", "{}")  # empty, beside files with rows


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_folder_in_place_of_a_file_is_named(name: str, file: str, corpora: Corpora, tmp_path: Path) -> None:
    for other, content in corpora[name].items():
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text(content) if other != file else (tmp_path / other).mkdir()
    with pytest.raises(ValueError, match=f"{file} is not a file; "):
        build_reader(name).read(tmp_path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_by_name_and_nothing_else(data: st.DataObject, read: Read, corpora: Corpora) -> None:
    name, file = data.draw(st.sampled_from(FILES))
    text = corpora[name][file]
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    damaged = text[:first] + data.draw(st.sampled_from(BITS) | st.text(max_size=3)) + text[last:]
    found, message = read_or_refuse(read, name, {file: damaged.encode(errors="surrogatepass")})
    if found is None:
        assert file in message or "empty corpus" in message
    else:
        assert all(0 <= span.start_s < span.end_s <= 7 * 86400 for query in found.queries for span in query.spans)
        assert all(query.qid and query.video_id and query.text.encode() for query in found.queries)

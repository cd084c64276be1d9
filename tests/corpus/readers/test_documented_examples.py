"""The examples of the pages about corpora and readers do what the pages say."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from corpus.moments import Moment
from corpus.readers import list_readers
from corpus.readers.base import Reader, ReadResult

Read = Callable[..., ReadResult]
DOCS = Path(__file__).resolve().parents[3] / "docs"


def find_example(page: str, language: str) -> str:
    """Return the only example of a page in a language, without its indentation."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (example,) = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    indentation, text = example
    return re.sub(rf"^{indentation}", "", text, flags=re.MULTILINE)


@pytest.fixture
def documented_reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """The reader that the page shows."""
    module = ModuleType("documented_reader")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(find_example("readers.md", "python"), module.__dict__)
    reader: Reader = module.LinesParams(name="lines").build()
    return reader


def test_the_page_names_every_reader_and_no_other() -> None:
    table = (DOCS / "corpora.md").read_text(encoding="utf-8").partition("| reader | files")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == list_readers()


def test_the_table_of_windows_is_read_as_the_page_says(read: Read) -> None:
    found = read("folder", {"annotations.jsonl": None, "annotations.csv": find_example("train_on_my_annotations.md", "csv")})
    assert [(query.video_id, len(query.spans)) for query in found.queries] == [("holiday", 2), ("kitchen", 1), ("street", 1)]
    assert found.queries[0].spans == (Moment(4, 9.5), Moment(62, 70.5))


def test_the_line_of_json_is_the_same_query(read: Read) -> None:
    (query,) = read("folder", {"annotations.jsonl": find_example("train_on_my_annotations.md", "json")}).queries
    assert query.spans == (Moment(4, 9.5), Moment(62, 70.5))


def test_the_new_reader_reads_and_refuses(documented_reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "moments.txt").write_text("a.mp4 | 0 | 1:02.5 | A dog runs.\n")
    (query,) = documented_reader.read(tmp_path).queries
    assert (query.qid, query.video_id, query.spans) == ("line-1", "a", (Moment(0, 62.5),))
    (tmp_path / "moments.txt").write_text("a.mp4 | 0 | 1 | A dog runs.\na | b\n")
    with pytest.raises(ValueError, match=r"moments.txt line 2: a line must be video \| start \| end \| sentence, got 'a \| b'"):
        documented_reader.read(tmp_path)

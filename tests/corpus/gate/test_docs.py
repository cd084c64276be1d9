"""Data Docs of a failing corpus: rows first, every value escaped, readable offline on desktop and phone."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from corpus.gate.suites import load_suite
from stages.validate import validate_corpus

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:module 'sre_.*' is deprecated:DeprecationWarning"),  # Great Expectations
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
PRESETS = Path(__file__).resolve().parents[3] / "presets" / "suite"
HOSTILE = "<script>document.title = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\"> & ${x} $y {{z}} </td>"
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class ResourceParser(HTMLParser):
    """Collects the addresses that a page loads and links to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loaded += [values[LOADING[tag]] or ""] if LOADING.get(tag) in values else []
        self.linked += [values["href"] or ""] if tag == "a" and "href" in values else []


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Data Docs of a corpus with hostile sentences and ids and a broken row."""
    folder = tmp_path_factory.mktemp("docs")
    splits = ("train", "val", "test", "train")
    videos: list[dict[str, Any]] = [
        {"video_id": f"v{number}", "path": f"{number}.mp4", "split": split, "duration_s": 10.0, "fps": 25.0, "num_frames": 250}
        | {"width": 640, "height": 360, "rotation": 0, "codec": "h264", "has_audio": True, "sha256": f"{number:064d}"}
        for number, split in enumerate(splits)
    ]
    queries = [
        {"qid": f"q{number}", "video_id": f"v{number}", "text": HOSTILE, "split": split, "source": "human", "spans": [[1, 99]]}
        for number, split in enumerate(splits)
    ]
    videos[1] |= {"fps": 480.0, "codec": HOSTILE, "sha256": HOSTILE}
    queries[2] |= {"qid": HOSTILE, "spans": HOSTILE, "split": HOSTILE}
    for name, rows in (("videos", videos), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert validate_corpus(folder, load_suite("default", PRESETS), docs_dir=folder / "docs").stopping
    return folder / "docs"


def parse(page: Path) -> ResourceParser:
    parser = ResourceParser()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_pages_load_only_files_of_their_own_folder_and_link_to_pages_that_exist(docs: Path) -> None:
    pages = list(docs.rglob("*.html"))
    assert len(pages) == 5  # the first page, and for each table its expectations and its results
    for page in pages:
        parsed = parse(page)
        for address in [one for one in parsed.loaded if not one.startswith("data:")]:
            assert (page.parent / address).resolve().is_relative_to(docs)
            assert (page.parent / address).is_file(), address
        for address in [one for one in parsed.linked if one and not one.startswith(("#", "https://"))]:
            assert (page.parent / address.partition("#")[0]).is_file(), address
        assert not re.search(r"url\(['\"]?https?:|@import", page.read_text(encoding="utf-8"))


def test_the_first_page_names_failing_rows_before_rules_that_hold(docs: Path) -> None:
    content = (docs / "index.html").read_text(encoding="utf-8")
    assert content.index("<td>q0</td>") < content.index("Warnings") < content.index("in pictures") < content.index("Every rule")
    assert content.count("<svg") == 9


def test_pages_of_great_expectations_name_rows_by_id_and_line(docs: Path) -> None:
    (page,) = (docs / "validations" / "queries").rglob("*.html")
    table = page.read_text(encoding="utf-8").partition("(&#x27;10")[2] or page.read_text(encoding="utf-8")
    assert re.search(r">q0, q1, q3</div>.*>1, 2, 4</div>", table, re.DOTALL)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_readable_in_a_browser_without_network_and_runs_nothing_of_the_rows(
    docs: Path, browser: Any, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, offline=True)
    for path in sorted(docs.rglob("*.html")):
        page = context.new_page()
        requested: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request, urls=requested: urls.append(request.url))
        page.on("console", lambda message, texts=errors: texts.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error, texts=errors: texts.append(str(error)))
        page.goto(path.as_uri())
        assert "hacked" not in page.title()
        assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
        assert errors == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        page.close()
    context.close()


@pytest.mark.browser
def test_the_filter_of_great_expectations_works_without_its_libraries(docs: Path, browser: Any) -> None:
    (path,) = (docs / "validations" / "queries").rglob("*.html")
    page = browser.new_page()
    page.goto(path.as_uri())
    holding = page.locator("text=language").last
    assert holding.is_visible()
    page.get_by_text("Failed Only").click()
    assert page.locator(".fa-check-circle:visible").count() == 0
    assert page.locator(".fa-times:visible").count() > 0
    page.get_by_text("Show All").click()
    assert page.locator(".fa-check-circle:visible").count() > 0
    page.close()

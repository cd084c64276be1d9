"""README and docs name the present forms of commands, and the exit codes of the program."""

import re
from pathlib import Path

from cuepoint.running import BROKEN_PIPE, FAILED, INTERRUPTED, SOME_LEFT_OUT, USAGE

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_no_page_names_a_form_that_is_gone() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"python -m (serving|flows\.|corpus\.media|stages\.(ingest|evaluate))", text), page


def test_the_exit_codes_of_the_docs_are_those_of_the_program() -> None:
    table = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").partition("## Exit codes")[2].partition("##")[0]
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert codes == {0, FAILED, USAGE, SOME_LEFT_OUT, INTERRUPTED, BROKEN_PIPE}

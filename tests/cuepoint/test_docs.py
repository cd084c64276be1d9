"""README and docs name the present forms of commands, the exit codes of the program, and what its JSON holds."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cuepoint.commands.search import Located, build_document
from cuepoint.running import BROKEN_PIPE, FAILED, INTERRUPTED, SOME_LEFT_OUT, USAGE
from search.answers import Answer, BasisClass, FoundMoment, SearchBasis, Verdict
from search.model_name import ModelName

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


def test_the_sample_of_an_answer_has_the_keys_of_the_program() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sample = json.loads(page.partition("```json\n")[2].partition("```")[0])
    moment, basis = FoundMoment("v", 0.0, 1.0, 1.0, None), SearchBasis(0.5, (BasisClass("dog", 1.0, 0.5),))
    bundle: Any = SimpleNamespace(model=ModelName(name="real", revision="0"), version="0")
    answer = Answer(Verdict.FOUND, (moment,), None, (), basis=basis)
    document = build_document("a dog", answer, [Located(1, moment, Path("v"))], bundle)
    assert list_keys(sample) == list_keys(document)


def list_keys(value: Any) -> Any:
    """Return a document with the first item of each list, and without its values."""
    if isinstance(value, dict):
        return {key: list_keys(item) for key, item in value.items()}
    return [list_keys(value[0])] if isinstance(value, list) and value else None

"""Code text of a file: it excludes comments, docstrings and blank lines, and includes everything else."""

import hashlib
from pathlib import Path

import pytest

from corpus.code.source import read_source

MODULE = '''"""A text with a # sign."""

import json  # read


class A:
    """Words."""

    x = "# no comment"  # why

    async def f(self):
        r"""Words with a \\d."""
        return f'{self.x!r} "#" ' + """a

        # still a string
        """  # but this is one
'''


def read(text: str, folder: Path, name: str = "module.py") -> bytes:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_source(path, "package").code


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A text with a # sign.", "Ein anderer Text, üäö."),
        ("  # read", ""),
        ("import json", "# a line\nimport json"),
        ('"""Words."""\n', '"""Other words\n\n    on lines.\n    """\n\n\n'),
        ("Words with a", "No words with a"),
        ("# why", "# why not"),
        ("# but this is one", "# another"),
        ("\n", "\r\n"),
    ],
)
def test_comments_and_docstrings_are_not_code(old: str, new: str, tmp_path: Path) -> None:
    assert old in MODULE
    assert read(MODULE.replace(old, new), tmp_path, "after.py") == read(MODULE, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# no comment", "# a comment"),
        ("# still a string", "# a string"),
        ('"#" ', '"#"'),
        ("import json", "import math"),
        ("    async def f", "async def f"),
        ("a\n\n        #", "a\n        #"),
    ],
)
def test_everything_else_is_code(old: str, new: str, tmp_path: Path) -> None:
    assert old in MODULE
    assert read(MODULE.replace(old, new), tmp_path, "after.py") != read(MODULE, tmp_path)


def test_the_code_of_a_file_is_the_same_under_every_python(tmp_path: Path) -> None:
    """The expected hash was computed under Python 3.11, 3.12 and 3.13."""
    assert (
        hashlib.sha256(read(MODULE, tmp_path)).hexdigest() == "c2993fd57fdc53cf0eec9e51dec0649e9ea7a8d158c79b5ecfdf4293721be918"
    )


def test_a_string_that_only_begins_a_statement_is_code_where_it_documents_nothing(tmp_path: Path) -> None:
    assert read('x = 1\n"""Words."""\n', tmp_path, "a.py") != read('x = 1\n"""Other."""\n', tmp_path, "b.py")

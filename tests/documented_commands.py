"""The shell commands of README and docs: blocks, commands and their words, as a reader would paste them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELLS = ("bash", "sh", "shell", "console")
PROGRAMS = frozenset(
    ("bentoml", "cd", "cp", "cuepoint", "curl", "docker", "dvc", "echo", "export", "git", "hf", "make", "mkdir", "mv", "pip")
    + ("pytest", "python", "sha256sum", "source", "unzip")
)
PLACEHOLDERS = {"<commit>": "0" * 40, "<name>": "place_tan"}

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")


@dataclass(frozen=True)
class Command:
    """One command of a page; `block` counts the page's shell blocks from 0."""

    page: str
    block: int
    text: str

    @property
    def words(self) -> list[str]:
        """The program and its arguments, without variables before it."""
        words = shlex.split(self.text, comments=True)
        while words and _ASSIGNMENT.match(words[0]):
            words.pop(0)
        return words

    def __str__(self) -> str:
        """Name the command in the ids of tests."""
        return f"{self.page}: {' '.join(self.words)[:90]}"


def find_page(name: str) -> Path:
    """Return the file of a page by the name that commands give."""
    return ROOT / name if name == "README.md" else ROOT / "docs" / name.removeprefix("docs/")


def name_page(path: Path) -> str:
    """Return README.md or docs/<page>."""
    return str(path.relative_to(ROOT))


def read_blocks(page: str, *languages: str) -> list[str]:
    """Return the fenced blocks of a page in these languages, without indentation; "" is a block without a language."""
    text = find_page(page).read_text(encoding="utf-8")
    found = [(indent, content) for indent, language, content in _FENCE.findall(text) if language in languages]
    return [re.sub(rf"^{indent}", "", content, flags=re.MULTILINE) for indent, content in found]


def list_commands(page: str) -> list[Command]:
    """Return the commands of a page's shell blocks, in order."""
    blocks = [block for block in read_blocks(page, "", *SHELLS) if _is_shell(block)]
    return [Command(page, number, line) for number, block in enumerate(blocks) for line in _split(block)]


def list_inline(page: str) -> list[Command]:
    """Return the commands in a page's inline code; those with a gap (`...`) are sketches."""
    text = _FENCE.sub("", find_page(page).read_text(encoding="utf-8"))
    spans = re.findall(r"`((?:cuepoint|dvc|make|python) [^`]+)`", text)
    whole = dict.fromkeys(span for span in spans if not {"...", "->"} & set(span.split()) and ":" not in span.split()[0])
    return [Command(page, -1, span.replace("\\|", "|").partition(" | ")[0]) for span in whole]


def list_all() -> list[Command]:
    """Return the commands of all pages."""
    return [command for page in PAGES for command in list_commands(name_page(page))]


def fill(word: str) -> str:
    """Return a word with a value in the place of a placeholder."""
    for placeholder, value in PLACEHOLDERS.items():
        word = word.replace(placeholder, value)
    return word


def _is_shell(block: str) -> bool:
    first = next(_split(block), "")
    words = first.split()
    return bool(words) and (words[0] in PROGRAMS or bool(_ASSIGNMENT.match(words[0])))


def _split(block: str) -> Iterator[str]:
    for line in block.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()

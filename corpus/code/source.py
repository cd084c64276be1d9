"""Parsing of one Python file for code identity: code without comments and docstrings, imports, declared components."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

# Strings and comments, equal under every supported Python. A `#` in a string starts no comment.
_WORDS = re.compile(
    rb"""#[^\n]*|'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*\"""", re.DOTALL
)
_BLANK_LINES = re.compile(rb"[ \t]*\n(?:[ \t]*\n)*")
_STRING = b"\0"
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # of statements that hold statements
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One name that an import statement may load: a module, or a member of a module."""

    module: str  # absolute
    name: str  # "" if a module is imported as a whole
    span: tuple[int, int]  # bytes of the statement in the file


class ComponentClass(NamedTuple):
    """A schema that declares `name: Literal[...]`."""

    name: str
    is_default: bool  # `name` has a default: presets without a name get this schema


class Source(NamedTuple):
    """The parts of a file that code identity uses."""

    content: bytes
    code: bytes  # without comments, docstrings and blank lines
    strings: frozenset[str]  # literals without quotes, docstrings excluded
    docstrings: tuple[tuple[int, int], ...]  # spans in bytes
    imports: tuple[Import, ...]
    components: Mapping[str, ComponentClass]  # by class
    assigned: tuple[tuple[frozenset[str], tuple[int, int]], ...]  # of assignments in the module: names they read, and spans

    def cut(self, spans: Sequence[tuple[int, int]]) -> bytes:
        """Return the code without these spans."""
        return _normalise(_cut(self.content, (*self.docstrings, *spans)))[0] if spans else self.code


def read_source(path: Path, package: str) -> Source:
    """Read a file; its relative imports start from `package`.

    Raises:
        SyntaxError: when the file is not Python.
    """
    state = path.stat()
    return _parse(path, package, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _parse(path: Path, package: str, _modified_ns: int, _size: int) -> Source:
    content = path.read_bytes().replace(b"\r\n", b"\n")
    tree = ast.parse(content, filename=str(path))
    starts = _find_line_starts(content)
    docstrings, imports, components = list[tuple[int, int]](), list[Import](), dict[str, ComponentClass]()
    for statement in _iterate_statements(tree.body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports += _list_imports(statement, package, _find_span(statement, starts))
        if isinstance(statement, ast.ClassDef) and (component := _find_component(statement)):
            components[statement.name] = component
        docstrings += _find_docstring(statement, starts)
    docstrings += _find_docstring(tree, starts)
    assigned = tuple(
        (frozenset(node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)), _find_span(statement, starts))
        for statement in tree.body
        if isinstance(statement, ast.Assign)
    )
    code, literals = _normalise(_cut(content, docstrings))
    strings = frozenset(literal.decode(errors="replace").lstrip("rbfuRBFU").strip("'\"") for literal in literals)
    return Source(content, code, strings, tuple(docstrings), tuple(imports), components, assigned)


def _iterate_statements(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield all statements below a body, including functions, except the blocks for type checkers."""
    for statement in body:
        yield statement
        for block in _BLOCKS:
            if block != "body" or not _is_type_checking(statement):
                yield from _iterate_statements(getattr(statement, block, ()))


def _is_type_checking(statement: ast.AST) -> bool:
    if not isinstance(statement, ast.If):
        return False
    test = statement.test
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


def _list_imports(statement: ast.Import | ast.ImportFrom, package: str, span: tuple[int, int]) -> list[Import]:
    if isinstance(statement, ast.Import):
        return [Import(alias.name, "", span) for alias in statement.names]
    module = statement.module or ""
    if statement.level:
        above = package.split(".")[: len(package.split(".")) - statement.level + 1]
        module = ".".join([*above, *([module] if module else [])])
    return [Import(module, alias.name, span) for alias in statement.names]


def _find_component(statement: ast.ClassDef) -> ComponentClass | None:
    for part in statement.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.target.id == "name":
            annotation = part.annotation
            if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Constant):
                return ComponentClass(str(annotation.slice.value), part.value is not None)
    return None


def _find_docstring(node: ast.AST, starts: Sequence[int]) -> list[tuple[int, int]]:
    if not isinstance(node, _DOCUMENTED) or not node.body:
        return []
    first = node.body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return [_find_span(first, starts)] if is_text else []


def _find_line_starts(content: bytes) -> list[int]:
    starts = [0]
    for line in content.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def _find_span(statement: ast.AST, starts: Sequence[int]) -> tuple[int, int]:
    first, last = statement.lineno, statement.end_lineno  # type: ignore[attr-defined]
    return starts[first - 1] + statement.col_offset, starts[last - 1] + statement.end_col_offset  # type: ignore[attr-defined]


def _cut(content: bytes, spans: Sequence[tuple[int, int]]) -> bytes:
    for start, end in sorted(spans, reverse=True):
        content = content[:start] + content[end:]
    return content


def _normalise(content: bytes) -> tuple[bytes, list[bytes]]:
    """Return the text without comments and blank lines followed by its strings, and the strings alone."""
    strings: list[bytes] = []

    def take(match: re.Match[bytes]) -> bytes:
        if match[0].startswith(b"#"):
            return b""
        strings.append(match[0])
        return _STRING

    code = _BLANK_LINES.sub(b"\n", _WORDS.sub(take, content)).strip()
    return _STRING.join([code, *strings]), strings

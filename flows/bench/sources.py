"""What the code of a component is: its files and the layers that they import, without comments and docstrings."""

import ast
import hashlib
import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import models

_PACKAGE = Path(models.__file__).parent
_SHARED = ("exchange", "training")  # how parts are put together and trained: no part of a component


def hash_sources(kinds: Iterable[type]) -> str:
    """Return a hash of the code that these classes of `models` run; it stays when only words about the code change."""
    digest = hashlib.sha256()
    for path in find_sources(kinds):
        digest.update(f"{path.relative_to(_PACKAGE)}\n{read_code(path)}\n".encode())
    return digest.hexdigest()


def find_sources(kinds: Iterable[type]) -> list[Path]:
    """Return the files of these classes and, through their imports, of all they are built from in `models`, sorted."""
    found, waiting = set[Path](), [Path(inspect.getfile(kind)) for kind in kinds]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _read_source(path).imports
    return sorted(found)


def read_code(path: Path) -> str:
    """Return a module's syntax tree without docstrings."""
    return _read_source(path).code


class _Source(NamedTuple):
    code: str
    imports: tuple[Path, ...]


@cache  # arms share most of their layers
def _read_source(path: Path) -> _Source:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return _Source(ast.dump(tree), tuple(_iterate_imports(tree)))


def _iterate_imports(tree: ast.Module) -> Iterator[Path]:
    """Yield the modules of `models` that a module imports; registries, which are packages, are none of it."""
    for node in ast.walk(tree):
        for name in _list_names(node):
            package, *parts = name.split(".")
            module = _PACKAGE.joinpath(*parts).with_suffix(".py")
            if package == models.__name__ and parts[0] not in _SHARED and module.is_file():
                yield module


def _list_names(node: ast.AST) -> list[str]:
    """Return the modules that a statement may import, each with at least one dot."""
    if isinstance(node, ast.ImportFrom) and node.module:
        return [name for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)) if "." in name]
    return [alias.name for alias in node.names if "." in alias.name] if isinstance(node, ast.Import) else []

"""Import closure of modules: every file of this checkout that runs with them, and the hash of their code.

A registry is a package whose `__init__.py` lists the schemas of components in one assignment. The walk does not follow its
imports of components, and the hash skips its list: the caller names the components that run. Imports in functions count;
imports for type checkers do not. A string that is the dotted name of a module counts as an import, because programs are
started by such names.
"""

import hashlib
import inspect
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from corpus.code.source import ComponentClass, Import, Source, read_source

ROOT = Path(__file__).resolve().parents[2]
_DOTTED = re.compile(r"([A-Za-z_]\w*(?:\.\w+)+)(?::\w+)?")


class Closure(NamedTuple):
    """The files of a closure in order: path from the root of the checkout, and hash of the code."""

    files: Mapping[str, str]

    @property
    def hash(self) -> str:
        """The hash over all files: 64 hexadecimal digits."""
        return hashlib.sha256("".join(f"{path} {digest}\n" for path, digest in self.files.items()).encode()).hexdigest()


class Component(NamedTuple):
    """A member of a registry."""

    name: str
    module: str  # that declares its schema
    is_default: bool


def find_closure(started: Iterable[str | object], *, neutral: Collection[str] = (), root: Path = ROOT) -> Closure:
    """Return the files that run with modules (dotted names), functions or classes; `neutral` modules are left out.

    Raises:
        ModuleNotFoundError: when the checkout has no module of a dotted name.
        SyntaxError: when a file of the closure is not Python.
    """
    walk = _Walk(root, frozenset(neutral))
    for one in started:
        walk.add(name_module(one, root) if not isinstance(one, str) else one, required=True)
    return Closure(dict(sorted(walk.hash_files())))


def name_module(thing: object, root: Path = ROOT) -> str:
    """Return the dotted name of the module that defines a function or class, also when it runs as a program.

    Raises:
        ModuleNotFoundError: when the module lies outside the checkout.
    """
    path = Path(inspect.getfile(thing)).resolve()  # type: ignore[arg-type]
    if not path.is_relative_to(root):
        raise ModuleNotFoundError(f"{thing!r} is defined in {path}, outside {root}; code identity covers the checkout alone")
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_registry(package: str, *, root: Path = ROOT) -> list[Component]:
    """Return the components that the `__init__.py` of a package registers, by import; none if it is not a registry."""
    walk = _Walk(root, frozenset())
    path = walk.find_file(package)
    return [] if path is None else list(walk.read_registry(path, package))


class _Walk:
    """A walk along imports."""

    def __init__(self, root: Path, neutral: frozenset[str]) -> None:
        self._root, self._neutral = root, neutral
        self._sources: dict[str, tuple[Path, Source]] = {}  # by module
        self._cuts: dict[str, list[tuple[int, int]]] = {}

    def add(self, module: str, *, required: bool = False) -> None:
        """Follow a module and the packages around it."""
        waiting = [(module, required)]
        while waiting:
            name, is_required = waiting.pop()
            if name in self._sources or self._is_neutral(name):
                continue
            path = self.find_file(name)
            if path is None:
                if is_required:
                    raise ModuleNotFoundError(f"there is no module {name!r} in {self._root}")
                continue
            waiting += [(follower, False) for follower in self._read(name, path)]

    def hash_files(self) -> Iterator[tuple[str, str]]:
        """Yield path and hash of every file, including the data files of packages."""
        for module, (path, source) in self._sources.items():
            code = source.cut(self._cuts.get(module, ()))
            yield str(path.relative_to(self._root)), hashlib.sha256(code).hexdigest()
        for path in self._find_data():
            yield str(path.relative_to(self._root)), hashlib.sha256(path.read_bytes()).hexdigest()

    def find_file(self, module: str) -> Path | None:
        """Return the file of a module by Python's own rule: a package wins over a module of the same name."""
        folder = self._root.joinpath(*module.split("."))
        return next((path for path in (folder / "__init__.py", folder.with_suffix(".py")) if path.is_file()), None)

    def read_registry(self, path: Path, package: str) -> Iterator[Component]:
        """Yield the components that a package registers."""
        for statement, component in self._iterate_members(read_source(path, package), package):
            yield Component(component.name, statement.module, component.is_default)

    def _is_neutral(self, module: str) -> bool:
        return any(module == name or module.startswith(f"{name}.") for name in self._neutral)

    def _read(self, module: str, path: Path) -> Iterator[str]:
        """Add a module and yield the names that it may load; some are not modules."""
        is_package = path.name == "__init__.py"
        source = read_source(path, module if is_package else module.rpartition(".")[0])
        self._sources[module] = (path, source)
        members = {statement for statement, _ in self._iterate_members(source, module)} if is_package else set()
        if members:
            self._cuts[module] = [*self._list_registry_spans(source, members)]
        parts = module.split(".")
        yield from (".".join(parts[:length]) for length in range(1, len(parts)))
        for statement in set(source.imports) - members:
            yield from _list_loaded(statement)
        for text in source.strings:
            if match := _DOTTED.fullmatch(text):
                yield from _list_loaded(Import(match[1], "", (0, 0)))

    def _iterate_members(self, source: Source, package: str) -> Iterator[tuple[Import, ComponentClass]]:
        """Yield the imports of a package that provide the schemas of its registry."""
        listed = {name for names, _ in source.assigned for name in names}
        for statement in source.imports:
            if statement.name in listed and statement.module.startswith(f"{package}."):
                path = self.find_file(statement.module)
                found = read_source(path, statement.module.rpartition(".")[0]).components if path else {}
                if statement.name in found:
                    yield statement, found[statement.name]

    def _list_registry_spans(self, source: Source, members: Collection[Import]) -> Iterator[tuple[int, int]]:
        """Yield the spans of a registry that change with its list: imports of members and of third parties, and the list."""
        names = {member.name for member in members}
        spans = {statement.span for statement in members}
        spans |= {one.span for one in source.imports if self.find_file(one.module) is None}
        yield from spans
        yield from (span for read, span in source.assigned if read & names)

    def _find_data(self) -> Iterator[Path]:
        """Yield data files that modules name: templates, styles, a folder of a page."""
        strings: dict[Path, set[str]] = {}
        for path, source in self._sources.values():
            for folder in (path.parent, *path.parent.parents):
                if not folder.is_relative_to(self._root) or folder == self._root:
                    break
                strings.setdefault(folder, set()).update(source.strings)
        for folder, named in strings.items():
            if (folder / "__init__.py").is_file():
                yield from _list_named(folder, named)


def _list_loaded(statement: Import) -> list[str]:
    """Return the names of modules that an import may load."""
    return [statement.module, *([f"{statement.module}.{statement.name}"] if statement.name else [])]


def _list_named(folder: Path, named: Collection[str]) -> Iterator[Path]:
    """Yield the data files of a package's folder that `named` holds, and the files that these name in turn."""
    entries = [entry for entry in sorted(folder.iterdir()) if entry.suffix not in (".py", ".pyc") and entry.name[0] not in "._"]
    waiting = [entry for entry in entries if entry.name in named]
    found: set[Path] = set()
    while waiting:
        entry = waiting.pop()
        if entry in found or (entry.is_dir() and any(entry.rglob("*.py"))):
            continue
        found.add(entry)
        if entry.is_file():
            text = entry.read_bytes()
            waiting += [other for other in entries if other.name.encode() in text]
    for entry in sorted(found):
        yield from [entry] if entry.is_file() else (path for path in sorted(entry.rglob("*")) if path.is_file())

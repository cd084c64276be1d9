"""The code of each stage and role: the import closure of the stage and of the components that its params choose."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from corpus.code import ROOT, Closure, find_closure, name_module
from pipeline.identity.chosen import list_chosen

# Code that runs a stage but affects no result: processes, locks, tracking, the schema of values (DVC watches the values).
NEUTRAL = (
    "corpus.code",
    "pipeline.identity",
    "pipeline.components.slots",
    "corpus.schema_files",
    "pipeline.components.presets",
    "pipeline.components.listing",
    "pipeline.disk.commit_room",
    "pipeline.disk.disk_room",
    "pipeline.entry",
    "pipeline.lineage",
    "pipeline.params",
    "pipeline.paths",
    "pipeline.executors.process",
    "pipeline.executors.slot",
    "pipeline.timings",
    "pipeline.tracking",
)
IDENTITY = "identity"


class Run(NamedTuple):
    """A stage, and the role if the stage runs once per role."""

    stage: str
    role: str = ""

    @property
    def dvc_name(self) -> str:
        """The name of the run in DVC."""
        return f"{self.stage}@{self.role}" if self.role else self.stage


def find_run(name: str) -> Run:
    """Return the run of a stage's program, whose name joins stage and role with a hyphen."""
    stage, _, role = name.partition("-")
    return Run(stage, role)


def list_runs(params: Mapping[str, Any]) -> Iterator[Run]:
    """Yield every stage except `identity`; stage `train` once per role in `params`, the content of params.yaml."""
    for path in sorted((ROOT / "stages").glob("*.py")):
        if path.stem == "train":
            yield from (Run(path.stem, role) for role in params["train"]["models"])
        elif path.stem not in ("__init__", IDENTITY):
            yield Run(path.stem)


def find_run_closure(run: Run, params: Mapping[str, Any]) -> Closure:
    """Return the code of a stage with the components that `params`, the content of params.yaml, and its presets choose.

    Raises:
        ValueError: naming the preset and the key that choose an unregistered component.
    """
    return find_closure([f"stages.{run.stage}", *list_chosen(run.stage, run.role, params)], neutral=NEUTRAL)


def find_code(*things: object) -> Closure:
    """Return the code behind functions and classes, for a resumable state that names its changes."""
    return find_closure(things, neutral=NEUTRAL)


def hash_code(*things: object) -> str:
    """Return the hash of the code behind functions and classes, for a cache key; computed once per process."""
    return _hash_modules(tuple(name_module(thing) for thing in things))


@cache
def _hash_modules(modules: tuple[str, ...]) -> str:
    return find_closure(modules, neutral=NEUTRAL).hash

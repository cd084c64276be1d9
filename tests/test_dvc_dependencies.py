"""What DVC is told: every source file that a stage runs is among its dependencies, and no file that it does not run."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from dvc.stage import Stage

from models.training.schema import TrainingParams

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("corpus", "models", "serving", "stages")
# What no result depends on: where files lie and how they are read, how params are read, how processes and runs are kept.
SUPPORT = (
    "choices",
    "components",
    "decoding",
    "entry",
    "lineage",
    "machine",
    "params",
    "paths",
    "process",
    "timings",
    "tracking",
    "tracking_spool",
    "tracked_run",
)
NEUTRAL = {
    *(ROOT / "corpus" / f"{name}.py" for name in ("files", "isolation", "params", "records", "store")),
    *(ROOT / "stages" / "support" / f"{name}.py" for name in SUPPORT),
}
# Imported beside what is run: these stages read features and never encode a frame, and score no files of others.
NOT_RUN = {
    "train": {ROOT / "models" / "encoders", ROOT / "corpus" / "media"},
    "evaluate": {ROOT / "models" / "encoders", ROOT / "stages" / "support" / "scoring"},
}
STAGES = [stage.addressing for stage in Repo(str(ROOT)).index.stages if stage.cmd]  # not the data that users track


def load_stage(name: str) -> Stage:
    (stage,) = [stage for stage in Repo(str(ROOT)).index.stages if stage.addressing == name]
    return stage


def list_strings(values: object) -> Iterator[str]:
    """Yield every string among values: names of components are some of them."""
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from list_strings(value)
    elif isinstance(values, str):
        yield values


def list_presets(stage: Stage) -> list[Path]:
    """Return the presets that a stage reads: of the components that it builds from params."""
    return [Path(dep.fs_path) for dep in stage.params if Path(dep.fs_path).parent.parent == ROOT / "presets"]


def name_steps(preset: dict[str, Any]) -> dict[str, str]:
    """Return by slot the names of optimizer and schedule of a preset that is trained, also where it leaves them out."""
    if "training" not in preset:
        return {}
    training = TrainingParams.model_validate(preset["training"])
    return {"optimizers": training.optimizer.name, "schedules": training.schedule.name}


def list_chosen(stage: Stage) -> set[str]:
    """Return the names of the components that a stage may run: of params.yaml, and of its presets."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    role = stage.addressing.partition("@")[2]
    if role:
        params["train"]["models"] = params["train"]["models"][role]
    presets = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in list_presets(stage)]
    return {*list_strings([params, presets]), *(name for preset in presets for name in name_steps(preset).values())}


def list_built(stage: Stage) -> list[Path]:
    """Return the files of the components that a stage builds from its presets, with their losses."""
    built = []
    for preset in list_presets(stage):
        content = yaml.safe_load(preset.read_text(encoding="utf-8"))
        built.append(ROOT / "models" / f"{preset.parent.name}s" / f"{preset.stem}.py")
        built += [ROOT / "models" / "losses" / f"{name}.py" for name in list_strings(content.get("losses", []))]
        built += [ROOT / "models" / slot / f"{name}.py" for slot, name in name_steps(content).items()]
    return [path for path in built if path.is_file()]


def list_preset_parts() -> set[Path]:
    """Return losses, optimizers and schedules of all presets: another component is one option away, so its are watched too."""
    presets = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "presets").rglob("*.yaml")]
    losses = {("losses", name) for preset in presets for name in list_strings(preset.get("losses", []))}
    steps = {part for preset in presets for part in name_steps(preset).items()}
    return {ROOT / "models" / slot / f"{name}.py" for slot, name in losses | steps}


def find_sources(stage: Stage) -> set[Path]:
    """Return the first-party files that a stage runs: its imports, through chosen components and past registries."""
    chosen, found = list_chosen(stage), set[Path]()
    name = stage.addressing.partition("@")[0]
    waiting = [ROOT / "stages" / f"{name}.py", *list_built(stage)]
    while waiting:
        path = waiting.pop()
        if path in found or path in NEUTRAL or {path, path.parent} & NOT_RUN.get(name, set()):
            continue
        if is_component_not_chosen(path, chosen):
            continue
        found.add(path)
        waiting += list_imports(path)
    return {path for path in found if path.name != "__init__.py"}


def is_component_not_chosen(path: Path, chosen: set[str]) -> bool:
    if path.stem in chosen or path.stem in ("__init__", "base"):
        return False
    return path.parent.name == "readers" or f'name: Literal["{path.stem}"]' in path.read_text(encoding="utf-8")


def list_imports(path: Path) -> list[Path]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {id(node) for block in ast.walk(tree) if is_type_checking(block) for node in ast.walk(block)}
    names = {name for node in ast.walk(tree) if id(node) not in typing_only for name in list_imported_names(node)}
    return [source for name in sorted(names) if (source := find_source(name))]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def list_imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def find_source(name: str) -> Path | None:
    if name.partition(".")[0] not in PACKAGES:
        return None
    path = ROOT / name.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@pytest.mark.parametrize("name", STAGES)
def test_every_source_file_that_a_stage_runs_is_among_its_dependencies(name: str) -> None:
    stage = load_stage(name)
    dependencies = [Path(dep.fs_path) for dep in stage.deps]
    missing = [path for path in find_sources(stage) if not any(path.is_relative_to(dep) for dep in dependencies)]
    assert not missing, f"{name} runs what DVC does not watch: {sorted(str(path.relative_to(ROOT)) for path in missing)}"


@pytest.mark.parametrize("name", sorted({name.partition("@")[0] for name in STAGES}))
def test_a_stage_depends_on_no_source_file_that_none_of_its_items_runs(name: str) -> None:
    items = [load_stage(item) for item in STAGES if item.partition("@")[0] == name]
    sources = {path for item in items for path in find_sources(item)} | NEUTRAL | list_preset_parts()
    watched = {Path(dep.fs_path).relative_to(ROOT) for item in items for dep in item.deps}
    code = [path for path in watched if path.parts[0] in PACKAGES and path.suffix in ("", ".py")]
    idle = [path for path in code if not any(source.is_relative_to(ROOT / path) for source in sources)]
    assert not idle, f"{name} is stale when these change, though it does not run them: {sorted(map(str, idle))}"

"""Architecture rules: stages match modules, imports are statements and point one way, every component has a preset."""

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from flows.reproduce import STAGES
from import_circles import find_circles
from pipeline.components import loading as components
from pipeline.components import trained as trained_components
from pipeline.components.slots import SLOTS
from pipeline.params import load_params

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cuepoint", "corpus", "models", "search", "evaluation", "pipeline", "serving", "stages", "flows")
LOADERS = {
    "encoder": components.load_encoder,
    "text_encoder": components.load_text_encoder,
    "pair": components.load_pair,
    "objective": components.load_objective,
    "retriever": trained_components.load_retriever,
    "localizer": trained_components.load_localizer,
    "blind": trained_components.load_blind,
}
PRESETS = sorted((ROOT / "presets").glob("*/*.yaml"))
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TEST_MODULES = sorted((ROOT / "tests").rglob("*.py"))
SCRIPTS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.js"))


def name_test(path: Path) -> str:
    return str(path.relative_to(ROOT))


def list_dvc_stages() -> list[str]:
    return list(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


def test_every_dvc_stage_is_one_module_of_the_same_name() -> None:
    assert set(list_dvc_stages()) == {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}


def test_the_flow_knows_the_stages_in_the_order_of_the_pipeline() -> None:
    assert list_dvc_stages() == list(STAGES)


def test_the_committed_params_load() -> None:
    assert load_params(ROOT / "params.yaml")


def test_layers_hold() -> None:
    program = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("imports", "circles"),
    [
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["b"], "b": ["c", "d"], "c": ["a"], "d": ["c"]}, [["a", "b", "c", "d"]]),
        ({"a": ["b", "b.c"], "b": ["e"], "b.c": ["a"], "e": ["f"], "f": ["e"]}, [["e", "f"], ["a", "b.c"]]),
        ({"a": ["c"], "b": ["c"], "c": ["outside"]}, []),
    ],
)
def test_modules_that_import_each_other_are_found(imports: dict[str, list[str]], circles: list[list[str]]) -> None:
    assert list(find_circles(imports)) == circles


def test_a_new_circle_fails_the_lint(tmp_path: Path) -> None:
    for name, content in {
        "one.py": "def f():\n    import house.two\n",
        "two.py": "from house import one\n",
        "__init__.py": "",
    }.items():
        (tmp_path / "house").mkdir(exist_ok=True)
        (tmp_path / "house" / name).write_text(content, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    shutil.copyfile(ROOT / "tests" / "import_circles.py", tmp_path / "tests" / "import_circles.py")
    types = 'contract_types = ["no_circles: tests.import_circles.NoCirclesContract"]'
    contract = '[[tool.importlinter.contracts]]\nname = "none"\ntype = "no_circles"'
    (tmp_path / "pyproject.toml").write_text(f'[tool.importlinter]\nroot_package = "house"\n{types}\n{contract}\n')
    program = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(program, cwd=tmp_path, env=os.environ | {"PYTHONPATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "These modules import each other: house.one, house.two" in done.stdout


@pytest.mark.parametrize("preset", [path for path in PRESETS if path.parent.name in LOADERS], ids=name_test)
def test_every_preset_loads(preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert LOADERS[preset.parent.name](preset.stem)


def test_every_folder_of_presets_is_a_slot_of_the_params_or_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {path.parent.name for path in PRESETS} == {*LOADERS, "bench", "features", "gate", "published", "render", "suite"}


@pytest.mark.parametrize("slot", sorted(LOADERS))
def test_every_registered_component_has_a_preset_of_its_name(slot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for params in find_params_classes(slot):
        (name,) = get_args(params.model_fields["name"].annotation)
        assert params.__module__.startswith(f"{SLOTS[slot].module}.")
        assert params.__module__.removesuffix(".params").endswith(f".{name}")
        loaded = LOADERS[slot](name)
        assert type(getattr(loaded, "component", loaded)) is params


def test_modules_are_loaded_by_import_statements_that_code_identity_can_follow() -> None:
    found = {name_test(module): calls for module in MODULES if (calls := list_dynamic_imports(module))}
    assert found == {}, "write import statements in place of these calls"


def list_dynamic_imports(module: Path) -> set[str]:
    """Return the names of calls that import or run code without an import statement."""
    dynamic = {"import_module", "__import__", "exec", "eval", "compile", "run_module", "run_path", "spec_from_file_location"}
    allowed = {"pipeline/components/slots.py": {"import_module"}, "pipeline/components/listing.py": {"import_module"}}
    calls = [node.func for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    plain = {call.id for call in calls if isinstance(call, ast.Name)}
    of_modules = {call.attr for call in calls if isinstance(call, ast.Attribute)} & {"import_module", "run_module", "run_path"}
    return ((plain & dynamic) | of_modules) - allowed.get(name_test(module), set())


def find_params_classes(slot: str) -> list[type[BaseModel]]:
    module = import_module(SLOTS[slot].module)
    registries = [value for name, value in vars(module).items() if name.endswith("Params")]
    found = {
        model for registry in registries for model in _models_in(registry) if set(get_args(model.model_fields["name"].annotation))
    }
    return sorted(found, key=lambda model: model.__name__)


def _models_in(registry: object) -> list[type[BaseModel]]:
    if isinstance(registry, type):
        return [registry] if issubclass(registry, BaseModel) and "name" in registry.model_fields else []
    return [model for argument in get_args(registry) for model in _models_in(argument)]


def test_importing_a_module_runs_nothing() -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.If)
    running = []
    for module in MODULES:
        for statement in ast.parse(module.read_text(encoding="utf-8")).body:
            is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            is_middleware = ast.unparse(statement).startswith("CuepointService.add_asgi_middleware(")  # as BentoML asks
            if not (is_docstring or is_middleware or isinstance(statement, allowed)):
                running.append(f"{name_test(module)}:{statement.lineno}")
    assert running == [], "these statements run at import"


@cache
def read_descriptions() -> dict[str, str]:
    """Return the docstring of every module, tests included, and the head comment of every script, by file."""
    trees = {name_test(path): ast.parse(path.read_text(encoding="utf-8")) for path in (*MODULES, *TEST_MODULES)}
    docstrings = {name: ast.get_docstring(tree) or "" for name, tree in trees.items()}
    return docstrings | {name_test(path): read_head_comment(path) for path in SCRIPTS}


def read_head_comment(path: Path) -> str:
    """Return the first line of a script, an empty text if it is not a comment."""
    line = path.read_text(encoding="utf-8").partition("\n")[0]
    return line if line.startswith(("/*", "//")) else ""


def test_every_module_has_a_description() -> None:
    assert SCRIPTS
    assert [name for name, text in read_descriptions().items() if not text] == []


def test_descriptions_of_modules_name_their_subject() -> None:
    words = "what|how|where|who|when|why|which|whose|whether|does|do|is|are"
    opened = re.compile(rf"\W*({words})\b", re.IGNORECASE)
    asking = [name for name, text in read_descriptions().items() if opened.match(text)]
    assert asking == [], "these descriptions open with a question word; begin with a noun phrase or a verb"


@pytest.mark.slow
def test_only_the_stages_that_compute_with_torch_load_it() -> None:
    program = "import sys; import stages.{stage}; sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    for stage in ("render", "ingest", "validate", "index", "package"):
        subprocess.run([sys.executable, "-c", program.format(stage=stage)], cwd=ROOT, check=True)


def list_clocks(path: Path) -> list[str]:
    """Return the clocks that a module reads."""
    names = {"monotonic", "perf_counter", "process_time", "thread_time", "ru_utime", "ru_stime"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in names]


def test_no_test_measures_time() -> None:
    folder = ROOT / "tests"
    paths = [path for path in folder.rglob("*.py") if "benchmarks" not in path.parts]
    assert {name_test(path) for path in paths if list_clocks(path)} == {"tests/loopback.py"}  # it waits

"""The house: stages and modules agree, imports point one way, components, presets and registries go by one name."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from flows.reproduce import STAGES
from stages.support import components
from stages.support.params import load_params

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("corpus", "models", "serving", "stages", "flows")
LOADERS = {
    "encoder": components.load_encoder,
    "text_encoder": components.load_text_encoder,
    "objective": components.load_objective,
    "retriever": components.load_retriever,
    "localizer": components.load_localizer,
    "blind": components.load_blind,
}
PRESETS = sorted((ROOT / "presets").glob("*/*.yaml"))
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


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


@pytest.mark.parametrize("preset", [path for path in PRESETS if path.parent.name in LOADERS], ids=name_test)
def test_every_preset_loads_under_its_own_name(preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert LOADERS[preset.parent.name](preset.stem)


def test_every_folder_of_presets_is_a_slot_of_the_params_or_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {path.parent.name for path in PRESETS} == {*LOADERS, "bench", "features", "render", "suite"}


@pytest.mark.parametrize("slot", sorted(LOADERS))
def test_every_registered_component_lies_in_the_file_of_its_name_and_has_a_preset(slot: str) -> None:
    folder = ROOT / "models" / f"{slot}s"
    for params in find_params_classes(slot):
        (name,) = get_args(params.model_fields["name"].annotation)
        assert params.__module__ == f"models.{slot}s.{name}"
        assert (folder / f"{name}.py").is_file()
        assert (ROOT / "presets" / slot / f"{name}.yaml").is_file()


def find_params_classes(slot: str) -> list[type[BaseModel]]:
    module = __import__(f"models.{slot}s", fromlist=["*"])
    registries = [value for name, value in vars(module).items() if name.endswith("Params")]
    found = {
        model for registry in registries for model in _models_in(registry) if set(get_args(model.model_fields["name"].annotation))
    }
    return sorted(found, key=lambda model: model.__name__)


def _models_in(registry: object) -> list[type[BaseModel]]:
    if isinstance(registry, type):
        return [registry] if issubclass(registry, BaseModel) and "name" in registry.model_fields else []
    return [model for argument in get_args(registry) for model in _models_in(argument)]


@pytest.mark.parametrize("module", MODULES, ids=name_test)
def test_importing_a_module_runs_nothing(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.If)
    for statement in tree.body:
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        is_middleware = ast.unparse(statement).startswith("CuepointService.add_asgi_middleware(")  # where BentoML takes it
        assert is_docstring or is_middleware or isinstance(statement, allowed), f"{module}:{statement.lineno} runs at import"


@pytest.mark.slow
def test_only_the_stages_that_compute_with_torch_load_it() -> None:
    program = "import sys; import stages.{stage}; sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    for stage in ("render", "ingest", "validate", "index", "package"):
        subprocess.run([sys.executable, "-c", program.format(stage=stage)], cwd=ROOT, check=True)

"""DVC on the whole pipeline in its smallest size: what becomes stale, what is compared, and what a remote gives back."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from corpus.files import sha256_file

pytestmark = pytest.mark.slow

RunIn = Callable[..., str]
AFTER_LOCALIZER = ["train@localizer", "evaluate", "export", "index", "package"]


@contextmanager
def changed(*paths: Path) -> Iterator[None]:
    """Give files back as they were; files that were not there go."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    finally:
        for path, content in before.items():
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)


def list_run_stages(output: str) -> list[str]:
    return re.findall(r"^Running stage '(.+)':", output, flags=re.MULTILINE)


def hash_files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_second_repro_runs_nothing(tiny_pipeline: Path, run_in: RunIn) -> None:
    output = run_in(tiny_pipeline, "dvc", "repro")
    assert list_run_stages(output) == []
    assert "Data and pipelines are up to date." in output


def test_a_localizer_value_makes_only_its_training_stale(tiny_pipeline: Path, run_in: RunIn) -> None:
    preset = tiny_pipeline / "presets" / "localizer" / "place_tan.yaml"
    with changed(preset):
        preset.write_text(re.sub(r"hidden_dim: \d+", "hidden_dim: 24", preset.read_text(encoding="utf-8")), encoding="utf-8")
        status = json.loads(run_in(tiny_pipeline, "dvc", "status", "--json"))
    assert list(status) == ["train@localizer"]


def test_an_unused_component_makes_nothing_stale(tiny_pipeline: Path, run_in: RunIn) -> None:
    source = tiny_pipeline / "models" / "localizers" / "unused.py"
    registry = source.with_name("__init__.py")
    preset = tiny_pipeline / "presets" / "localizer" / "unused.yaml"
    with changed(source, registry, preset):
        source.write_text(
            (source.with_name("tan2d.py")).read_text(encoding="utf-8").replace('"tan2d"', '"unused"'), encoding="utf-8"
        )
        registry.write_text(registry.read_text(encoding="utf-8") + "from models.localizers import unused\n", encoding="utf-8")
        preset.write_text("name: unused\n", encoding="utf-8")
        assert json.loads(run_in(tiny_pipeline, "dvc", "status", "--json")) == {}


@pytest.mark.parametrize(("slot", "like"), [("losses", "iou_bce"), ("optimizers", "sgd"), ("schedules", "constant")])
def test_an_unused_part_of_training_makes_nothing_stale(slot: str, like: str, tiny_pipeline: Path, run_in: RunIn) -> None:
    source = tiny_pipeline / "models" / slot / "unused.py"
    registry = source.with_name("__init__.py")
    with changed(source, registry):
        content = source.with_name(f"{like}.py").read_text(encoding="utf-8")
        source.write_text(content.replace(f'"{like}"', '"unused"'), encoding="utf-8")
        registry.write_text(registry.read_text(encoding="utf-8") + f"from models.{slot} import unused\n", encoding="utf-8")
        assert json.loads(run_in(tiny_pipeline, "dvc", "status", "--json")) == {}


def test_metrics_and_plots_say_something(tiny_pipeline: Path, run_in: RunIn, tmp_path: Path) -> None:
    metrics = json.loads(run_in(tiny_pipeline, "dvc", "metrics", "show", "--json"))
    content = metrics[""]["data"]["data/reports/evaluation/metrics.json"]["data"]
    assert 0 <= content["test"]["localizer"]["R1_iou0.5"] <= 1
    assert "dvc_plots" in run_in(tiny_pipeline, "dvc", "plots", "show", "--out", str(tmp_path / "dvc_plots"))
    shown = run_in(tiny_pipeline, "dvc", "exp", "show", "--csv")
    assert "test.localizer.R1_iou0.5" in shown.splitlines()[0]


def test_a_remote_gives_a_clone_every_artefact_back(tiny_pipeline: Path, run_in: RunIn, tmp_path: Path) -> None:
    remote, clone = tmp_path / "remote", tmp_path / "clone"
    run_in(tiny_pipeline, "dvc", "remote", "add", "--local", "--force", "box", str(remote))
    run_in(tiny_pipeline, "dvc", "push", "--remote", "box")
    run_in(tmp_path, "git", "clone", "-q", str(tiny_pipeline), str(clone))
    run_in(clone, "dvc", "remote", "add", "--local", "box", str(remote))
    run_in(clone, "dvc", "pull", "--remote", "box")
    pulled, made = hash_files(clone / "data"), hash_files(tiny_pipeline / "data")
    assert pulled.keys() >= {name for name in made if "data_docs" not in name}
    assert {name: made[name] for name in pulled} == pulled
    assert json.loads(run_in(clone, "dvc", "status", "--json")) == {}


def test_another_localizer_is_one_option_away_and_its_tuning_one_more(tiny_pipeline: Path, run_in: RunIn, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run_in(tmp_path, "git", "clone", "-q", str(tiny_pipeline), str(clone))
    run_in(clone, "dvc", "config", "--local", "cache.dir", str(tiny_pipeline / ".dvc" / "cache"))
    run_in(clone, "dvc", "checkout")
    options = ("-S", "train.models.localizer=tan2d", "-S", "presets/localizer/tan2d.yaml:training.max_epochs=1")
    output = run_in(clone, "dvc", "exp", "run", "--name", "tried", *options)
    ran = list_run_stages(output)
    assert ran[0] == "train@localizer"
    assert set(ran) <= set(AFTER_LOCALIZER)
    assert "tried" in run_in(clone, "dvc", "exp", "show", "--csv")

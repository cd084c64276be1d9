"""DVC on the whole pipeline in its smallest size: stale stages, metrics and plots, and restoring from a remote."""

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
    """Restore files after the block, and remove new ones."""
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


def list_stale(folder: Path, run_in: RunIn) -> list[str]:
    """Update the record of the code and return the stages that are then stale."""
    run_in(folder, "dvc", "repro", "identity")
    return list(json.loads(run_in(folder, "dvc", "status", "--json")))


@contextmanager
def changed_code(folder: Path, run_in: RunIn, *paths: Path) -> Iterator[None]:
    """Restore files and the record of the code after the block."""
    try:
        with changed(folder / "dvc.lock", *paths):
            yield
    finally:
        run_in(folder, "dvc", "checkout", "data/identity")
    assert json.loads(run_in(folder, "dvc", "status", "--json")) == {}


def test_a_localizer_value_makes_only_its_training_stale(tiny_pipeline: Path, run_in: RunIn) -> None:
    preset = tiny_pipeline / "presets" / "localizer" / "place_tan.yaml"
    with changed_code(tiny_pipeline, run_in, preset):
        preset.write_text(re.sub(r"hidden_dim: \d+", "hidden_dim: 24", preset.read_text(encoding="utf-8")), encoding="utf-8")
        assert list_stale(tiny_pipeline, run_in) == ["train@localizer"]


def test_an_edit_shows_at_once_and_makes_the_stages_stale_that_run_it(tiny_pipeline: Path, run_in: RunIn) -> None:
    source = tiny_pipeline / "models" / "layers" / "gated_convolution.py"
    with changed_code(tiny_pipeline, run_in, source):
        source.write_text(source.read_text(encoding="utf-8") + "\nEDITED = 1\n", encoding="utf-8")
        assert list(json.loads(run_in(tiny_pipeline, "dvc", "status", "--json"))) == ["identity"]
        with pytest.raises(AssertionError, match=r"gated_convolution.py changed; run: dvc repro identity, then"):
            run_in(tiny_pipeline, "dvc", "repro", "--single-item", "--force", "train@localizer")
        run_in(tiny_pipeline, "dvc", "checkout", "data/checkpoints/localizer")
        assert list_stale(tiny_pipeline, run_in) == ["train@localizer", "evaluate", "export"]


def test_files_that_no_stage_runs_make_nothing_stale(tiny_pipeline: Path, run_in: RunIn) -> None:
    layer = tiny_pipeline / "models" / "layers" / "unused.py"
    source = tiny_pipeline / "models" / "losses" / "unused.py"
    registry = source.with_name("__init__.py")
    preset = tiny_pipeline / "presets" / "localizer" / "unused.yaml"
    with changed_code(tiny_pipeline, run_in, layer, source, registry, preset):
        layer.write_text("x = 1\n", encoding="utf-8")
        content = source.with_name("iou_bce.py").read_text(encoding="utf-8")
        source.write_text(content.replace('"iou_bce"', '"unused"').replace("IoUBCEParams", "UnusedParams"), encoding="utf-8")
        listed = registry.read_text(encoding="utf-8").replace("    | IoUBCEParams\n", "    | IoUBCEParams\n    | UnusedParams\n")
        imported = "from models.losses.unused import UnusedParams\nfrom models.losses.iou_bce"
        registry.write_text(listed.replace("from models.losses.iou_bce", imported, 1), encoding="utf-8")
        preset.write_text("name: fcos\n", encoding="utf-8")
        assert list_stale(tiny_pipeline, run_in) == []


def test_metrics_and_plots_have_content(tiny_pipeline: Path, run_in: RunIn, tmp_path: Path) -> None:
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
    assert ran[:2] == ["identity", "train@localizer"]
    assert set(ran) <= {"identity", *AFTER_LOCALIZER}
    assert "tried" in run_in(clone, "dvc", "exp", "show", "--csv")

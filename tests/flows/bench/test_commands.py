"""`cuepoint bench` end to end on a small corpus: it skips finished arms, records failures and survives a kill."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.bench import arm_run
from flows.bench.catalogue import list_names
from flows.bench.commands import select_arms
from flows.bench.given import describe_commit, load_given
from flows.bench.records import OUTPUTS, TrackedAt, load_records
from pipeline.tracking import server as tracking

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "cuepoint", "bench"]


@pytest.fixture
def project(tmp_path: Path, small_models: Any) -> Path:
    """Build a checkout with features, and a bench with one arm that trains and one that fails."""
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for name in ("corpus", "encoder", "features"):
        shutil.copytree(getattr(small_models, name), tmp_path / "data" / name)
    left_out = {slot: dict.fromkeys(list_names(slot), "not here") for slot in ("localizer", "retriever", "blind", "loss")}
    left_out["loss"].pop("inside_bce")
    losses = {"localizer": "tan2d", "max_epochs": 2, "beside": [{"name": "inside_bce"}]}
    bench = {"seed": 1, "max_wall_s": 240, "losses": losses, "left_out": left_out}
    (tmp_path / "presets" / "bench" / "models.yaml").write_text(yaml.safe_dump(bench))
    preset = tmp_path / "presets" / "localizer" / "tan2d.yaml"
    preset.write_text(preset.read_text().replace("num_cells: 16", "num_cells: 8").replace("hidden_dim: 64", "hidden_dim: 8"))
    return tmp_path


def start(project: Path, *arguments: str) -> "subprocess.Popen[str]":
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    env = kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "CUEPOINT_DEVICE": "cpu", "CUEPOINT_WORKERS": "1"}
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(project: Path, *arguments: str) -> tuple[int, str]:
    with start(project, *arguments) as process:
        output, _ = process.communicate(timeout=300)
    return process.returncode, output


def wait_for_line(process: "subprocess.Popen[str]", part: str) -> None:
    assert process.stdout is not None
    while part not in (line := process.stdout.readline()):
        assert line, f"ended before it printed {part}"


@pytest.mark.fault
def test_a_killed_bench_keeps_its_results_and_records_failures(project: Path) -> None:
    with start(project, "run") as process:
        wait_for_line(process, "[1/2] loss/scaled_iou_bce: R@1 ")
        process.send_signal(signal.SIGKILL)
    assert not (project / "docs").exists()
    code, output = run(project, "run")
    assert code == 3
    assert "1 of 2 arms to run; the others are on record" in output
    assert "[1/1] loss/+inside_bce: failed after " in output
    records = load_records(project / "docs" / "models.jsonl")
    assert records["loss/+inside_bce"].reason == "loss 'inside_bce' needs saliency, which this role does not compute"
    done = records["loss/scaled_iou_bce"]
    assert done.training is not None
    assert (done.status, done.training.epochs, done.training.resumed) == ("done", 2, False)
    assert done.run is not None
    page = (project / "docs" / "models.md").read_text()
    assert f"/#/experiments/{done.run.experiment_id}/runs/{done.run.run_id})" in page
    assert "- `loss/+inside_bce`: failed: loss 'inside_bce' needs saliency" in page
    assert not [*(project / ".cache" / "bench").glob("*/checkpoint")]


@pytest.mark.slow
def test_arms_without_anything_to_train_are_tuned_and_have_rows(project: Path) -> None:
    path = project / "presets" / "bench" / "models.yaml"
    bench = yaml.safe_load(path.read_text())
    bench["left_out"]["localizer"].pop("readout_peak_width")
    bench["left_out"]["retriever"].pop("shared_space")
    path.write_text(yaml.safe_dump(bench))
    code, output = run(project, "run", "--only", "localizer/readout_peak_width", "--only", "retriever/shared_space")
    assert code == 0, output
    records = load_records(project / "docs" / "models.jsonl")
    assert {name: record.status for name, record in records.items()} == {
        "localizer/readout_peak_width": "done",
        "retriever/shared_space": "done",
    }
    for record in records.values():
        assert record.training is not None
        assert (record.training.epochs, record.parameters) == (0, 0)
    page = (project / "docs" / "models.md").read_text()
    assert "| 0 |" in page
    assert "[`readout_peak_width`]" in page


def test_without_features_the_command_that_makes_them_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(project / "data" / "features")
    monkeypatch.chdir(project)
    message = "data/features/index.json: missing, and arms train on them; run: dvc repro extract"
    with pytest.raises(FileNotFoundError, match=message):
        load_given()


def test_arms_are_chosen_by_name_and_pattern() -> None:
    arms: Any = [type("Arm", (), {"name": name}) for name in ("loss/+triplet(miner=random)", "loss/focal", "localizer/tan2d")]
    assert select_arms(arms, ["loss/*"]) == {"loss/+triplet(miner=random)", "loss/focal"}
    assert select_arms(arms, ["loss/+triplet(miner=random)"]) == {"loss/+triplet(miner=random)"}
    with pytest.raises(ValueError, match="no arm is called 'fokal'; known: loss/"):
        select_arms(arms, ["fokal"])


def test_the_benchs_own_files_do_not_make_a_commit_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        name = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert describe_commit(OUTPUTS) == "unknown"
    (tmp_path / "docs").mkdir()
    for name in ("docs/models.md", "code.py"):
        (tmp_path / name).write_text("a")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "start")
    commit = describe_commit(OUTPUTS)
    (tmp_path / "docs" / "models.md").write_text("b")
    assert describe_commit(OUTPUTS) == commit
    (tmp_path / "code.py").write_text("b")
    assert describe_commit(OUTPUTS) == f"{commit}-dirty"


def test_a_run_that_mlflow_accepts_late_is_linked_and_a_refused_run_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").write_text('{"run_id": null, "spool": "localizer-1"}')
    monkeypatch.setattr(arm_run, "_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr("pipeline.tracking.tracked_run.deliver_waiting", lambda folder: [])
    answers = iter([None, tracking.RunAddress("1", "f" * 32)])
    monkeypatch.setattr(tracking, "find_run", lambda spool: next(answers))
    assert arm_run.find_run(tmp_path) == TrackedAt(experiment_id="1", run_id="f" * 32)

    def refuse(_: str) -> None:
        raise tracking.TrackingError("MLflow is away")

    monkeypatch.setattr(tracking, "find_run", refuse)
    assert arm_run.find_run(tmp_path) is None

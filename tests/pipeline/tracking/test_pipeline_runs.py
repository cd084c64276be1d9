"""Pipeline runs in MLflow: names, sources, data sets, one parent with the figures, the columns of the table."""

import json
from pathlib import Path
from typing import Any

import pytest

from corpus.files import write_bytes, write_json
from pipeline.lineage import collect_lineage
from pipeline.tracking import parents, run_table
from pipeline.tracking import server as tracking
from pipeline.tracking.pipeline_run import describe_pipeline
from pipeline.tracking.run_start import describe_start, name_run
from pipeline.tracking.tracked_evaluation import track_evaluation
from pipeline.tracking.tracked_run import TrackedRun
from pipeline.tracking.version_page import explain_decision

PARAMS = """
corpus: {name: shapes}
pretrain: {encoder: null, streams: {video: place_cnn}, text_encoder: word_vectors, objective: mil_nce}
train: {models: {retriever: dual_encoder, localizer: place_tan}}
export: {max_difference: 1}
"""
LOCK = "stages:\n  ingest:\n    outs:\n    - {path: data/corpus, md5: abc.dir}\n"


@pytest.fixture
def checkout(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with what a stage knows of its pipeline."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("DVC_EXP_NAME", "brave-owl")
    for path, text in {"params.yaml": PARAMS, "dvc.lock": LOCK, "presets/localizer/place_tan.yaml": "name: place_tan"}.items():
        write_bytes(tmp_path / path, text.encode())
    write_bytes(tmp_path / "data/corpus/videos.jsonl", b"{}\n{}\n")
    write_bytes(tmp_path / "data/corpus/queries.jsonl", b"{}\n{}\n{}\n")
    write_json(tmp_path / "data/identity/train/localizer.json", {"code": "1"})
    return tmp_path


def collect(stage: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("DVC_STAGE", stage)
    return collect_lineage([Path("data/corpus")])


def start_localizer(folder: Path, monkeypatch: pytest.MonkeyPatch, *, component: str = "place_tan") -> TrackedRun:
    tags = {**collect("train@localizer", monkeypatch), "role": "localizer"}
    params = {"component.name": component}
    return TrackedRun(folder / "spool", folder / f"state-{component}", name="localizer", params=params, tags=tags)


def evaluate(folder: Path, monkeypatch: pytest.MonkeyPatch, **run_ids: str) -> str:
    write_json(folder / "report" / "metrics.json", {"test": {"localizer": {"R1_iou0.5": 0.5}}})
    write_bytes(folder / "report" / "index.html", b"<p>")
    tags = {"role": "evaluation", **{f"{role}.run_id": run for role, run in run_ids.items()}, **collect("evaluate", monkeypatch)}
    run_id = track_evaluation(folder / "report", cache_dir=folder / "cache", params={"evaluate": {"split": "test"}}, tags=tags)
    assert run_id is not None
    return run_id


def read(run_id: str | None) -> Any:
    with tracking.open_client() as client:
        return client.get_run(run_id)


def test_the_trainings_of_a_pipeline_run_hang_under_one_parent_with_the_figures_of_its_evaluation(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = start_localizer(checkout, monkeypatch).end("FINISHED", metrics={"best/val/mIoU": 0.4})
    assert role is not None
    parent_id = evaluate(checkout, monkeypatch, localizer=role, blind="of-another-server")
    child, parent = read(role), read(parent_id)
    assert (child.info.run_name, parent.info.run_name) == (
        "localizer place_tan @ brave-owl",
        "place_tan + dual_encoder @ brave-owl",
    )
    assert child.data.tags["mlflow.parentRunId"] == parent_id
    assert parent.data.metrics == {"test/localizer/R1_iou0.5": 0.5}
    assert (parent.data.params["localizer"], parent.data.params["evaluate.split"]) == ("place_tan", "test")
    assert (child.data.tags["mlflow.source.name"], parent.data.tags["mlflow.source.name"]) == ("train@localizer", "dvc repro")
    assert (child.info.status, parent.info.status) == ("FINISHED", "FINISHED")
    for run, context in ((child, "training"), (parent, "evaluation")):
        (given,) = run.inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.digest, given.tags[0].value) == ("shapes", "abc", context)
        assert json.loads(given.dataset.profile) == {"videos": 2, "queries": 3}
    note = parent.data.tags["mlflow.note.content"]
    assert f"[localizer place_tan @ brave-owl](#/experiments/{parent.info.experiment_id}/runs/{role}) |" in note
    assert "`of-another-server`, tracked by another server" in note
    assert tracking.find_pipeline_run() == (parent.info.experiment_id, parent_id)


def test_a_role_that_dvc_restored_stays_under_its_pipeline_run_and_is_linked_by_the_new_one(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = start_localizer(checkout, monkeypatch).end("FINISHED")
    assert role is not None
    (checkout / "params.yaml").write_text(f"{PARAMS}search: {{survivors: 1}}\n")
    parent_id = evaluate(checkout, monkeypatch, localizer=role)
    assert read(role).data.tags["mlflow.parentRunId"] != parent_id
    assert "trained by an earlier pipeline run" in read(parent_id).data.tags["mlflow.note.content"]


def test_a_parent_runs_while_a_stage_does_and_shares_its_end(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start_localizer(checkout, monkeypatch)
    run.log(0, {"val/mIoU": 0.1})
    failed = run.end("FAILED")
    parent_id = read(failed).data.tags["mlflow.parentRunId"]
    assert read(parent_id).info.status == "FAILED"
    with tracking.open_client() as client:
        parents.start_parent(client, str(failed), {"owner.boot_id": "before"})
    assert read(parent_id).info.status == "RUNNING"
    assert tracking.reap_stale_runs() == [parent_id]  # the process of its stage has ended


def test_the_table_shows_data_set_source_commit_and_the_main_figure_first(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_localizer(checkout, monkeypatch).end("FINISHED")
    with tracking.open_client() as client:
        experiment = client.get_experiment(tracking.find_experiment(client))
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{run_table.VIEW}"])
    columns = json.loads(view["state"])["selectedColumns"]
    assert columns[:4] == [
        *(f"attributes.`{name}`" for name in ("Dataset", "Source", "Version")),
        "metrics.`test/localizer/R1_iou0.5`",
    ]


@pytest.mark.parametrize(
    ("path", "text", "changes"),
    [
        ("presets/localizer/place_tan.yaml", "name: other", True),
        ("data/identity/train/localizer.json", "{}", True),
        ("data/corpus/queries.jsonl", "{}\n", True),
        ("presets/localizer/tan2d.yaml", "name: other", False),  # not chosen
        ("params.yaml", PARAMS.replace("max_difference: 1", "max_difference: 2"), False),  # after evaluate
        ("params.yaml", PARAMS.replace("mil_nce", "none"), True),
    ],
)
def test_the_key_of_a_pipeline_run_covers_what_decides_its_figures(
    path: str, text: str, changes: bool, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = describe_pipeline()["cuepoint.pipeline"]
    (checkout / path).write_text(text)
    assert (describe_pipeline()["cuepoint.pipeline"] != before) is changes


@pytest.mark.parametrize(
    ("name", "params", "tags", "expected"),
    [
        ("localizer", {"component.name": "tan2d"}, {"git.branch": "main"}, "localizer tan2d @ main"),
        ("localizer", {"component.name": "tan2d"}, {"preset.localizer": "tan2d_gcn"}, "localizer tan2d_gcn"),
        ("localizer", {"component.name": "tan2d"}, {"preset.localizer": "mine"}, "localizer mine (tan2d)"),
        ("pretrain", {"objective.name": "mil_nce"}, {"git.commit": "1234567890"}, "pretrain mil_nce @ 1234567"),
        ("loss/triplet", {"component.name": "tan2d"}, {"bench": "default", "git.branch": "main"}, "loss/triplet @ bench default"),
    ],
)
def test_a_run_is_named_by_role_component_and_experiment(
    name: str, params: dict[str, object], tags: dict[str, str], expected: str
) -> None:
    assert name_run(name, params, tags) == expected


def test_an_arm_of_a_bench_has_no_parent() -> None:
    assert describe_start("loss/triplet", {}, {"bench": "default", "cuepoint.pipeline": "key"})["parent"] is None


def test_the_page_of_a_version_says_what_it_is_and_why_it_was_promoted(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent_id = evaluate(checkout, monkeypatch)
    write_bytes(checkout / "bundle" / "manifest.json", b"{}")
    tags = collect("package", monkeypatch) | {"git.commit": "1" * 40, "git.dirty": "true"}
    version = tracking.register_bundle(checkout / "bundle", digest="abc", metrics={"val/mIoU": 0.5}, tags=tags)
    with tracking.open_client() as client:
        explain_decision(client, tracking.MODEL, version, "rejected", who="ann@desk", why="it is slower")
        for why in ("there was no champion", "it is better"):
            explain_decision(client, tracking.MODEL, version, "promoted", who="ann@desk", why=why)
        text = client.get_model_version(tracking.MODEL, version).description
        model = client.get_registered_model(tracking.MODEL)
    assert text.startswith(
        "localizer `place_tan`, retriever `dual_encoder`, encoder `place_cnn`. Trained on `shapes` (2 videos, 3"
    )
    assert "Commit `111111111111` with uncommitted changes." in text
    assert f"runs/{parent_id}) with its report" in text
    assert "| val/mIoU | 0.5000 |" in text
    assert text.count("### Why it was ") == text.count("### Why it was promoted") == 1
    assert text.endswith("UTC, by ann@desk: it is better")
    assert "champion" in model.description

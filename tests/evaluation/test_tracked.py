"""An evaluation as a tracked run."""

from pathlib import Path

import pytest

from corpus.files import write_bytes, write_json
from pipeline.tracking.tracked_evaluation import read_run_ids, track_evaluation


@pytest.fixture
def report_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "report"
    write_json(folder / "metrics.json", {"test": {"queries": 3, "best_floor": "blind", "localizer": {"R1_iou0.5": 0.5}}})
    write_bytes(folder / "index.html", b"<p>caf\xc3\xa9</p>")
    write_bytes(folder / "answers.png", b"\x89PNG\x00\xff")
    write_bytes(folder / "score_maps" / "1.svg", b"<svg/>")
    write_bytes(folder / "per_query.jsonl", b"{}\n")
    return folder


@pytest.mark.slow
def test_figures_page_and_pictures_reach_the_run(report_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    run_id = track_evaluation(report_dir, cache_dir=tmp_path / "cache", params={"evaluate": {"seed": 1}}, tags={"a": "b"})
    client = MlflowClient(tracking_uri=store)
    assert run_id is not None
    run = client.get_run(run_id)
    assert run.data.metrics == {"test/queries": 3, "test/localizer/R1_iou0.5": 0.5}
    assert run.data.params == {"evaluate.seed": "1"}
    assert run.data.tags["a"] == "b"
    assert run.info.status == "FINISHED"
    folder = Path(client.download_artifacts(run_id, "", str(tmp_path)))
    sent = {str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.is_file()}
    assert {"index.html", "answers.png", "score_maps/1.svg", "metrics.json"} <= sent
    assert (folder / "answers.png").read_bytes() == b"\x89PNG\x00\xff"
    assert not list((tmp_path / "cache").glob("tmp*"))


def test_the_runs_that_trained_the_roles_are_named(tmp_path: Path) -> None:
    write_json(tmp_path / "localizer" / "run.json", {"run_id": "abc", "spool": "s"})
    write_json(tmp_path / "blind" / "run.json", {"run_id": None, "spool": "s"})
    assert read_run_ids(tmp_path) == {"localizer.run_id": "abc"}

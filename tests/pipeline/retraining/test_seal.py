"""The seal of a finished pipeline in a real DVC project: stale stages, a remote, a failed push."""

import shutil
from pathlib import Path

import pytest

from corpus.files import sha256_file, write_json
from pipeline.retraining import seal as module
from pipeline.retraining.seal import NO_REMOTE, PUSHED, UnsealedError, read_seal, seal
from pipeline.tracking import server as tracking
from quick_project import run

pytestmark = pytest.mark.slow
STAGE = "stages:\n  copy:\n    cmd: cp in.txt out.txt\n    deps: [in.txt]\n    outs: [out.txt]\n"


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project of one finished stage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    Path("dvc.yaml").write_text(STAGE)
    Path("in.txt").write_text("one")
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "dvc", "init", "-q")
    run(tmp_path, "dvc", "repro", "-q")
    return tmp_path


def test_a_finished_pipeline_is_sealed_once_and_a_changed_one_is_refused(finished: Path) -> None:
    with pytest.raises(UnsealedError, match="not sealed: .* run: cuepoint retrain"):
        read_seal()
    said: list[str] = []
    sealed = seal(said.append)
    assert (sealed.lock_sha256, sealed.note) == (sha256_file(Path("dvc.lock")), NO_REMOTE)
    assert NO_REMOTE in said
    assert read_seal() == sealed
    Path("in.txt").write_text("two")
    with pytest.raises(UnsealedError, match="the working tree changed while the pipeline ran"):
        seal(said.append)
    run(finished, "dvc", "repro", "-q")
    with pytest.raises(UnsealedError, match="not sealed"):
        read_seal()
    assert seal(said.append).inputs_sha256 != sealed.inputs_sha256


def test_a_training_that_dvc_restored_has_no_run_here_and_does_not_stop_the_seal(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with tracking.open_client() as client:
        here, deleted = (client.create_run(tracking.find_experiment(client)).info.run_id for _ in range(2))
        client.delete_run(deleted)
    for role, run_id in {"localizer": "0" * 32, "retriever": here, "text_encoder": deleted}.items():
        write_json(finished / "data/checkpoints" / role / "run.json", {"run_id": run_id})
    note = seal(lambda _: None).note
    assert note.endswith("trained elsewhere, so that this MLflow lacks their runs: localizer, text_encoder")
    with tracking.open_client() as client:
        assert client.get_run(here).data.tags["dvc.lock.sha256"] == sha256_file(Path("dvc.lock"))


def test_outputs_are_pushed_before_the_seal_and_a_failed_push_leaves_none(finished: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    run(finished, "dvc", "remote", "add", "-q", "--default", "kept", str(remote))
    assert seal(lambda _: None).note == PUSHED
    assert [path.read_text() for path in remote.rglob("*") if path.is_file()] == ["one"]
    module.find_seal().unlink()
    shutil.rmtree(remote)
    remote.write_text("a file in place of the folder")
    with pytest.raises(UnsealedError, match="dvc push failed, so the outputs are not kept"):
        seal(lambda _: None)
    with pytest.raises(UnsealedError, match="not sealed"):
        read_seal()

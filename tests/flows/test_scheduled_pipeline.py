"""The whole pipeline from scratch, in a scheduled run of a real server and worker."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from corpus.files import sha256_file
from pipeline.tracking.champion import METRICS

if TYPE_CHECKING:
    from conftest import PrefectService

READ_CHAMPION = "import json; from pipeline.tracking.server import read_champion; print(json.dumps(read_champion()))"


MEASURED = ("run.json", "export.json")  # the id of a run, and times


def hash_outputs(checkout: Path) -> dict[str, str]:
    lock = yaml.safe_load((checkout / "dvc.lock").read_text(encoding="utf-8"))
    outs = [checkout / out["path"] for stage in lock["stages"].values() for out in stage["outs"]]
    files = [file for out in outs for file in ([out] if out.is_file() else out.rglob("*")) if file.is_file()]
    return {str(file.relative_to(checkout)): sha256_file(file) for file in files if file.name not in MEASURED}


@pytest.mark.whole
@pytest.mark.timeout(1200)
def test_a_scheduled_run_makes_the_same_bytes_as_dvc_repro_and_crowns_its_bundle(
    tiny_pipeline: Path, run_in: Callable[..., str], prefect_service: "PrefectService", tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    run_in(tmp_path, "git", "clone", "-q", str(tiny_pipeline), str(checkout))
    run_in(checkout, "git", "reset", "-q", "--hard", "HEAD~1")
    run_id = prefect_service.schedule(prefect_service.deploy(checkout))
    state = prefect_service.wait_for(run_id, "COMPLETED", "FAILED", "CRASHED", "CANCELLED", limit_s=900)
    assert state == "Completed", prefect_service.read_logs(run_id)
    assert json.loads((checkout / METRICS).read_text()) == json.loads((tiny_pipeline / METRICS).read_text())
    assert hash_outputs(checkout) == hash_outputs(tiny_pipeline)
    version, metrics, tags = json.loads(prefect_service.run(checkout, sys.executable, "-c", READ_CHAMPION))
    assert version == "1"
    assert metrics["val/R1_iou0.5"] == json.loads((checkout / METRICS).read_text())["val"]["localizer"]["R1_iou0.5"]
    assert tags["git.commit"]

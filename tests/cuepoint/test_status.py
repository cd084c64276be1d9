"""`cuepoint status`: reports states and remedies without a repository or optional packages, and changes nothing."""

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from corpus.files import read_json, write_json
from cuepoint.__main__ import main
from cuepoint.checks import check_pipeline, check_service, describe_dvc_failure
from loopback import find_free_port


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder without a registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def read_status(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["status", "--json", "--port", str(find_free_port()), *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_in_an_empty_folder_everything_is_missing_and_nothing_is_made(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = read_status(capsys)
    assert list(found) == ["corpus", "pipeline", "bundle", "index", "videos", "champion", "service"]
    assert {check["state"] for check in found.values()} == {"missing"}
    assert list(empty.iterdir()) == []


def test_the_optional_packages_are_not_needed(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty / "dvc.yaml").touch()
    write_json(empty / ".cache" / "mlflow" / "mlflow.db", {})
    for name in ("dvc", "mlflow", "torch", "bentoml", "prefect", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    found = read_status(capsys)
    assert found["pipeline"] == {"state": "unknown", "detail": "DVC is not installed; run: pip install 'cuepoint[train]'"}
    assert found["champion"] == {"state": "unknown", "detail": "MLflow is not installed; run: pip install 'cuepoint[train]'"}


def test_a_bundle_with_its_index_is_ok_and_others_are_stale(
    empty: Path, small_project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("bundle", "index"):
        shutil.copytree(getattr(small_project, name), empty / "data" / name)
    found = read_status(capsys)
    assert found["bundle"]["state"] == found["index"]["state"] == "ok"
    assert found["index"]["detail"].startswith("data/index, 4 videos, ")
    assert found["videos"]["state"] == "missing"
    assert "their folder data/raw/small is missing" in found["videos"]["detail"]
    index = read_json(empty / "data" / "index" / "index.json") | {"bundle_version": "other", "media_dir": str(empty)}
    write_json(empty / "data" / "index" / "index.json", index)
    found = read_status(capsys)
    assert found["index"]["state"] == "stale"
    assert found["index"]["detail"].endswith(f"run: cuepoint index {empty} --output data/index")
    assert found["videos"] == {"state": "ok", "detail": str(empty)}
    next((empty / "data" / "bundle").glob("*.onnx")).unlink()
    assert read_status(capsys)["bundle"]["state"] == "bad"
    (empty / "data" / "bundle" / "manifest.json").write_text("{")
    assert read_status(capsys)["bundle"]["state"] == "bad"


def test_text_has_a_line_for_each(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--port", str(find_free_port())]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines][:2] == [["corpus", "missing"], ["pipeline", "missing"]]
    assert "run: cuepoint repro" in lines[0]


@pytest.mark.slow
def test_stale_stages_are_named(empty: Path, run_in: Any) -> None:
    run_in(empty, "git", "init", "-q")
    run_in(empty, "dvc", "init", "-q")
    (empty / "a").write_text("a")
    (empty / "dvc.yaml").write_text("stages:\n  copy:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n")
    assert check_pipeline() == ("stale", "copy; run: cuepoint repro")
    run_in(empty, "dvc", "repro", "-q")
    assert check_pipeline() == ("ok", "every stage is up to date")


@pytest.fixture
def answering() -> Iterator[Any]:
    """Start a server on loopback that answers with a chosen status."""

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self) -> None:  # noqa: N802
            self.send_response(Handler.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Handler, server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_service_is_asked_whether_it_is_ready(answering: Any) -> None:
    handler, port = answering
    states = []
    for handler.status in (200, 401, 503, 404):
        states.append(check_service(port).state)
    assert states == ["ok", "ok", "unknown", "unknown"]
    assert check_service(find_free_port()).state == "missing"


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        (
            "ERROR: 'data/encoder' is busy, it is being blocked by:\n  (PID 25605): python -m dvc repro\n\nIf there are no ...\n",
            "another DVC command is running (process 25605); try again when it has ended",
        ),
        ("ERROR: you are not inside of a DVC repository\n", "dvc status failed: ERROR: you are not inside of a DVC repository"),
        ("", "dvc status failed: no error output"),
    ],
)
def test_a_running_dvc_is_named(errors: str, text: str) -> None:
    assert describe_dvc_failure(errors) == text

"""The ten commonest failures of docs/when_something_fails.md: each is provoked here and gives the documented message."""

import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from corpus.files import write_bytes, write_json
from cuepoint.__main__ import main
from loopback import find_free_port
from pipeline.components.loading import require_presets
from pipeline.entry import describe_error
from pipeline.executors.process import hold_lock
from pipeline.identity import find_run, require_recorded, write_identities
from pipeline.params import load_params

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "when_something_fails.md"
HEADER = "| what happened | try it | you see | do this |"


class Failure(NamedTuple):
    """A row of the page."""

    name: str
    command: str
    message: str
    remedy: str


def read_failures() -> list[Failure]:
    lines = iter(PAGE.read_text(encoding="utf-8").splitlines())
    assert HEADER in lines
    rows = [line for line in lines if line.startswith("| ")]
    table = [[cell.strip().strip("`") for cell in row.strip("| ").split(" | ")] for row in rows]
    return [Failure(*cells) for cells in table if len(cells) == len(Failure._fields)]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command of `cuepoint` that fails, and return its message."""
    assert main(arguments) != 0
    return capsys.readouterr().err


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with choices and presets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    return tmp_path


def change_params(old: str, new: str) -> None:
    path = Path("params.yaml")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def misspell_preset(capsys: pytest.CaptureFixture[str]) -> str:
    change_params("localizer: place_tan", "localizer: place_tam")
    return describe(lambda: require_presets(load_params()))


def misspell_key(capsys: pytest.CaptureFixture[str]) -> str:
    change_params("survivors: 20", "survivers: 20")
    return describe(load_params)


def end_a_moment_before_it_starts(capsys: pytest.CaptureFixture[str]) -> str:
    write_bytes(Path("data/raw/my_videos/annotations.csv"), b"video,start,end,query\nkitchen,9.0,4.0,a door opens\n")
    write_bytes(Path("data/raw/my_videos/videos/kitchen.mp4"), b"")
    return run(capsys, "corpus", "summary", "--reader", "folder", "--root", "data/raw/my_videos")


def truncate_a_video(capsys: pytest.CaptureFixture[str]) -> str:
    Path("holiday.mp4").write_bytes(b"\0" * 1000)
    return run(capsys, "corpus", "probe", "--decode", "holiday.mp4")


def edit_code(capsys: pytest.CaptureFixture[str]) -> str:
    params = load_params().model_dump(by_alias=True)
    write_identities(Path("data/identity"), params)
    record = Path("data/identity/export.json")
    record.write_text(re.sub(r'("stages/export.py": ")\w', r"\1-", record.read_text(encoding="utf-8")), encoding="utf-8")
    return describe(lambda: require_recorded(find_run("export"), Path("data/identity"), params))


def limit_files(capsys: pytest.CaptureFixture[str]) -> str:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
        return describe(lambda: write_bytes(Path("data/bundle/localizer.onnx"), b"\0" * 4096))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def start_a_stage_twice(capsys: pytest.CaptureFixture[str]) -> str:
    def start() -> None:
        with hold_lock(Path(".cache/locks/train-localizer.lock"), what="stage train-localizer"):
            pass

    with hold_lock(Path(".cache/locks/train-localizer.lock"), what="stage train-localizer"):
        return describe(start)


def stop_mlflow(capsys: pytest.CaptureFixture[str]) -> str:
    write_json(Path("data/reports/evaluation/metrics.json"), {"val": {"localizer": {"R1_iou0.5": 0.5, "mIoU": 0.4}}})
    for path in ("data/bento/cuepoint.bento", "data/bundle/manifest.json", "dvc.lock"):
        write_bytes(Path(path), b"{}")
    os.environ |= {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{find_free_port()}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    return run(capsys, "challenger")


def stop_prefect(capsys: pytest.CaptureFixture[str]) -> str:
    environment = os.environ | {"PREFECT_API_URL": f"http://127.0.0.1:{find_free_port()}/api", "PYTHONPATH": str(ROOT)}
    # Prefect reads the address once for each process
    done = subprocess.run(
        [sys.executable, "-m", "cuepoint", "deploy"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    return done.stderr


def take_the_port(capsys: pytest.CaptureFixture[str]) -> str:
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path.cwd()}/mlflow.db"
    with socket.create_server(("127.0.0.1", 0)) as other:
        return run(capsys, "ui", "--port", str(other.getsockname()[1]))


def describe(action: Callable[[], object]) -> str:
    """Return the line that a stage prints for the error of `action`."""
    try:
        action()
    except Exception as error:
        message = describe_error(error)
        assert message is not None
        return message
    return ""


PROVOKED = {
    "a preset is misspelt": misspell_preset,
    "a key of params.yaml is misspelt": misspell_key,
    "an annotation is wrong": end_a_moment_before_it_starts,
    "a video is damaged": truncate_a_video,
    "code changed after identity": edit_code,
    "a file does not fit": limit_files,
    "a stage runs already": start_a_stage_twice,
    "MLflow does not answer": stop_mlflow,
    "Prefect does not answer": stop_prefect,
    "a port is in use": take_the_port,
}


@pytest.mark.parametrize("name", PROVOKED)
@pytest.mark.slow
def test_a_documented_failure_gives_the_documented_message(name: str, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (failure,) = [one for one in read_failures() if one.name == name]
    message = PROVOKED[name](capsys)
    expected = ".*".join(map(re.escape, failure.message.split("...")))
    assert re.search(expected, " ".join(message.split())), message


def test_the_page_lists_the_ten_failures_that_are_provoked() -> None:
    assert [failure.name for failure in read_failures()] == list(PROVOKED)
    assert len(PROVOKED) == 10

"""The champion of a running service: it changes and changes back without a failed request, and a broken one never serves."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from champions import SOURCE, Registry, build_registry
from corpus.files import read_jsonl
from loopback import START_LIMIT_S, STOP_LIMIT_S, WAIT_LIMIT_S, find_free_port, is_ready, is_running, wait_until
from pipeline.dvc.process import build_environment
from pipeline.tracking.promotions import NOT_SERVED_TAG, promote, read_version

SENTENCE = "the red circle moves right"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def registry(small_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        yield build_registry(small_project, folder)


@dataclass
class Service:
    """`cuepoint serve` in an empty folder."""

    process: subprocess.Popen[bytes]
    url: str
    home: Path

    def read_log(self) -> str:
        return (self.home / "log").read_text(errors="replace")

    def find_children(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task")
        return [int(number) for task in tasks.iterdir() for number in (task / "children").read_text().split()]

    def ask_model(self) -> str:
        return str(httpx.get(f"{self.url}/version", timeout=WAIT_LIMIT_S).json()["versions"]["model"])

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.read_log(), START_LIMIT_S, what=self.read_log)


@contextmanager
def serve(project: Any, home: Path) -> Iterator[Service]:
    """Serve version 1 until the end of the block; no process of the service is left then."""
    promote("1", who="a test", why="the first")
    port = find_free_port()
    environment = build_environment() | {
        "PYTHONPATH": str(SOURCE),
        "CUEPOINT_STATE": str(home / "state"),
        "CUEPOINT_MEDIA_ROOT": str(project.raw),
        "CUEPOINT_RATE_PER_MINUTE": "0",
        "CUEPOINT_CHAMPION_EVERY_S": "0.5",
    }
    command = [sys.executable, "-m", "cuepoint", "serve", "--port", str(port)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    service = Service(process, f"http://127.0.0.1:{port}", home)
    children: list[int] = []
    try:
        wait_until(lambda: is_ready(service.url), START_LIMIT_S, what=service.read_log)
        yield service
        children = service.find_children() if process.poll() is None else []
        process.terminate()
        process.wait(STOP_LIMIT_S)
        assert not any(map(is_running, children)), service.read_log()
    finally:
        for number in (*children, process.pid):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.wait()


@dataclass
class Clients:
    """Clients that ask without pause: searches over a kept and over fresh connections, and feedback."""

    url: str
    models: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    num_kept: int = 0  # feedback that was acknowledged
    num_refused: int = 0  # feedback that was put off
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def run(self) -> Iterator[None]:
        works = (self._search_kept, self._search_fresh, self._give_feedback)
        threads = [threading.Thread(target=work) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def wait_for(self, model: str, what: Callable[[], str]) -> None:
        """Wait until the last twenty answers come from a model."""
        wait_until(lambda: set(self.models[-20:]) == {model} or bool(self.failures), START_LIMIT_S, what=what)

    def _search_kept(self) -> None:
        with httpx.Client(timeout=WAIT_LIMIT_S) as client:
            while not self._stop.is_set():
                self._search(client)

    def _search_fresh(self) -> None:
        while not self._stop.is_set():
            with httpx.Client(timeout=WAIT_LIMIT_S) as client:
                self._search(client)

    def _search(self, client: httpx.Client) -> None:
        asked = {"query": SENTENCE, "top_k": 1, "min_confidence": 0}
        try:
            answer = client.post(f"{self.url}/search", json=asked)
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        if answer.status_code == 200:
            self.models.append(answer.json()["versions"]["model"])
        else:
            self.failures.append(f"{answer.status_code} {answer.text}")
        time.sleep(0.02)  # leaves the processor to the services

    def _give_feedback(self) -> None:
        while not self._stop.is_set():
            try:
                answer = httpx.post(f"{self.url}/feedback", json=build_feedback(), timeout=WAIT_LIMIT_S)
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
                continue
            if answer.status_code == 201:
                self.num_kept += 1
            elif answer.status_code == 503 and answer.headers["retry-after"] == "1":
                self.num_refused += 1
            else:
                self.failures.append(f"feedback: {answer.status_code} {answer.text}")
            time.sleep(0.05)


def build_feedback() -> dict[str, Any]:
    return {"query": SENTENCE, "video_id": "v0", "start_s": 1.0, "end_s": 2.0, "verdict": "right"}


def count_feedback(home: Path) -> int:
    return len(list(read_jsonl(home / "state" / "feedback.jsonl")))


def test_a_running_service_takes_a_new_champion_and_the_old_one_back_without_a_failed_request(
    registry: Registry, small_project: Any, tmp_path: Path, run_in: Any
) -> None:
    with serve(small_project, tmp_path) as service:
        clip = (small_project.raw / "videos" / "v1.mp4").read_bytes() + bytes([0, 0, 0, 8]) + b"free"
        uploaded = httpx.post(f"{service.url}/videos", files={"file": ("mine.mp4", clip)}, timeout=WAIT_LIMIT_S)
        video_id = uploaded.raise_for_status().json()["video_id"]
        clients = Clients(service.url)
        with clients.run():
            clients.wait_for(registry.models[0], service.read_log)
            promote("2", who="a test", why="better")
            clients.wait_for(registry.models[1], service.read_log)
            command = (sys.executable, "-m", "cuepoint", "rollback", "--why", "finds no goals")
            subprocess.run(command, cwd=tmp_path, env=build_environment(), check=True, capture_output=True)
            clients.wait_for(registry.models[0], service.read_log)
        assert clients.failures == []
        assert count_feedback(tmp_path) == clients.num_kept > 0
        url = f"{service.url}/videos/{video_id}"
        wait_until(lambda: httpx.get(url, timeout=WAIT_LIMIT_S).json()["state"] == "ready", what=service.read_log)
        wait_until(lambda: len(service.find_children()) == 1, what=service.read_log)
    assert service.process.returncode == 0


def test_a_champion_that_does_not_become_ready_never_serves_and_the_reason_is_recorded(
    registry: Registry, small_project: Any, tmp_path: Path
) -> None:
    with serve(small_project, tmp_path) as service:
        clients = Clients(service.url)
        with clients.run():
            promote("3", who="a test", why="damaged")
            service.wait_for("version 3 is refused, version 1 stays: ")
            promote("4", who="a test", why="fails late")
            service.wait_for("version 4 is refused, version 1 stays: the uploads cannot be restored")
            service.wait_for("version 1 takes changes again")
            num_kept = clients.num_kept
            wait_until(lambda: clients.num_kept > num_kept + 3 or bool(clients.failures), what=service.read_log)
        assert clients.failures == []
        assert set(clients.models) == {registry.models[0]}
        assert count_feedback(tmp_path) == clients.num_kept
        for version, reason in (("3", "localizer.onnx"), ("4", "the uploads cannot be restored")):
            wait_until(lambda version=version: NOT_SERVED_TAG in read_version(version).tags, what=service.read_log)
            assert reason in read_version(version).tags[NOT_SERVED_TAG]


def test_a_champion_of_an_earlier_release_is_served_after_a_stop_and_replaced_without_one(
    registry: Registry, small_project: Any, tmp_path: Path
) -> None:
    with serve(small_project, tmp_path) as service:
        (first,) = service.find_children()
        promote("5", who="a test", why="an earlier release")
        service.wait_for("version 5 is of an earlier release: stopping the service, then starting that version")
        wait_until(lambda: not is_running(first) and is_ready(service.url), START_LIMIT_S, what=service.read_log)
        assert httpx.post(f"{service.url}/feedback", json=build_feedback(), timeout=WAIT_LIMIT_S).status_code == 201
        promote("2", who="a test", why="back to this release")
        service.wait_for("version 2 answers, ")
        wait_until(lambda: len(service.find_children()) == 1, what=service.read_log)
        assert service.ask_model() == registry.models[1]
        assert httpx.post(f"{service.url}/feedback", json=build_feedback(), timeout=WAIT_LIMIT_S).status_code == 201
    assert count_feedback(tmp_path) == 2


@pytest.mark.fault
def test_a_service_that_is_killed_starts_again_and_a_killed_launcher_leaves_no_process(
    registry: Registry, small_project: Any, tmp_path: Path
) -> None:
    with serve(small_project, tmp_path) as service:
        (first,) = service.find_children()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: service.find_children() not in ([], [first]), what=service.read_log)
        wait_until(lambda: is_ready(service.url), START_LIMIT_S, what=service.read_log)
        (second,) = service.find_children()
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        wait_until(lambda: not is_running(second), what=service.read_log)

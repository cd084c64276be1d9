"""Shared fixtures: the reference folder, a small project with untrained models, and a run of the whole pipeline."""

import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from corpus.records import save_corpus
from kept_cache import kept_cache
from odd_media import OddFile
from pipeline.entry import TELEMETRY_OFF
from scheduling import keep_scheduling
from small_project import (
    SmallProject,
    build_corpus,
    choose_roles,
    choose_sound_encoder,
    choose_video_encoder,
    save_models,
    save_project_index,
)
from workers import do_once, is_worker, start_long_groups_first, use_one_thread

# Hypothesis has no deadline and no check for slow drawing, because the machine may have other work.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

RunIn = Callable[..., str]
ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Restore SIGINT, so that tests can interrupt their commands: background jobs and their children ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if is_worker():
        use_one_thread()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start long tests first on workers; without workers, tests run in the order of their files."""
    if is_worker():
        start_long_groups_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Use the scheduler that keeps groups of tests on one worker."""
    from group_scheduling import GroupScheduling  # pytest-xdist is only needed for workers

    return GroupScheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `needs_precision` when this machine's processor cannot train in that precision."""
    for mark in item.iter_markers("needs_precision"):
        import torch

        from models.training.precision import find_obstacle

        (precision,) = mark.args
        obstacle = find_obstacle(precision, torch.device("cpu"))
        if obstacle:
            pytest.skip(f"this processor cannot train in {precision}: {obstacle}")


@pytest.fixture(autouse=True)
def _same_scheduling() -> Iterator[None]:
    """Restore the scheduling policy after every test."""
    with keep_scheduling():
        yield


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Return the reference folder beside the checkout; skip the test if it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the reference folder ../shared is absent on this machine")
    return folder


@pytest.fixture(scope="session")
def write_odd(tmp_path_factory: pytest.TempPathFactory) -> Callable[[OddFile], Path]:
    """Return a function that writes a file of odd media once a session; tests must not change the file."""
    folder = tmp_path_factory.mktemp("odd_media")

    @functools.cache
    def write(file: OddFile) -> Path:
        return file.write(folder)

    return write


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start headless Chromium for one test module; skip its tests if Chromium is not installed."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Build a small project up to its checkpoints. Tests must not write into it."""

    def build(folder: Path) -> None:
        project = SmallProject(folder / "small")
        corpus = build_corpus(project.raw)
        save_corpus(corpus, project.corpus)
        save_models(project, corpus, {"video": choose_video_encoder()}, choose_roles())

    return SmallProject(do_once(tmp_path_factory, "small_models", build) / "small")


@pytest.fixture(scope="session")
def small_project(small_models: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Build a small project with bundle and index. Tests must not write into it."""
    do_once(tmp_path_factory, "small_project", lambda _: save_project_index(small_models))
    return small_models


@pytest.fixture(scope="session")
def two_stream_project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Build a small project whose models read pictures and sound, in different orders in localizer and retriever."""

    def build(folder: Path) -> None:
        project = SmallProject(folder / "two-streams")
        corpus = build_corpus(project.raw, with_sound=True)
        save_corpus(corpus, project.corpus)
        encoders = {"sound": choose_sound_encoder(), "video": choose_video_encoder()}
        save_models(project, corpus, encoders, choose_roles(retriever=("video", "sound"), localizer=("sound", "video")))
        save_project_index(project)

    return SmallProject(do_once(tmp_path_factory, "two_streams", build) / "two-streams")


@pytest.fixture(scope="session")
def class_project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A zero-shot pair of the real architecture with random weights, two videos and their index. Tests must not write into it."""
    from tiny_class_pair import ClassProject, save_class_project  # its networks load torch

    def name(folder: Path) -> ClassProject:
        return ClassProject(folder / "models" / "real", folder / "videos", folder / "index")

    return name(do_once(tmp_path_factory, "class_project", lambda folder: save_class_project(name(folder))))


@pytest.fixture(scope="session")
def pair_project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A CLIP of random weights that was fetched from copied files, two videos and their index. Tests must not write into it."""
    from tiny_pair import PairProject, save_pair_project  # its networks load torch

    root = do_once(tmp_path_factory, "pair_project", lambda folder: save_pair_project(folder / "pair")) / "pair"
    return PairProject.name(root, "clip")


@pytest.fixture(scope="session")
def run_in() -> RunIn:
    """Return a function that runs a command in a folder, with this Python and without telemetry, and returns its output."""

    def run(folder: Path, *command: str) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "PREFECT_"))}
        env = {**kept, **TELEMETRY_OFF, "PATH": path}
        result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}"
        return result.stdout

    return run


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory, run_in: RunIn) -> Path:
    """Run the whole pipeline on the smallest corpus in a copy of this checkout; tests must not change it.

    Its first commit has no results, the second has the lock. Unchanged stages come from the cache of earlier runs.
    """
    checkout = tmp_path_factory.mktemp("tiny") / "checkout"
    for name in run_in(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file() and name != "dvc.lock" and not name.endswith(".dvc"):  # the user's corpora stay here
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
    params = checkout / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("size: default", "size: tiny", 1), encoding="utf-8")
    run_in(checkout, "git", "init", "-q")
    _commit_all(checkout, "Start", run_in)
    with kept_cache(checkout, "tiny"):
        run_in(checkout, "dvc", "repro")
    _commit_all(checkout, "Reproduce", run_in)
    return checkout


def _commit_all(checkout: Path, message: str, run_in: RunIn) -> None:
    run_in(checkout, "git", "add", "-A")
    run_in(checkout, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-q", "-m", message)

"""Two test workers: groups, folders that one of them builds, ports that never collide, and a kept DVC cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import kept_cache
from loopback import find_free_port
from workers import ROOT, do_once, name_group, start_long_groups_first


class Item:
    """A collected test of pytest."""

    def __init__(self, path: str, *, is_slow: bool = False) -> None:
        self.path, self._is_slow = ROOT / path, is_slow

    def get_closest_marker(self, name: str) -> object:
        return name if self._is_slow and name == "slow" else None


def test_a_file_is_a_group_and_files_that_share_a_server_are_one() -> None:
    groups = {
        "tests/test_workers.py": "tests/test_workers.py",
        "tests/serving/api/test_endpoints.py": "api",
        "tests/serving/api/test_steady.py": "tests/serving/api/test_steady.py",  # has its own servers
        "tests/serving/page/test_problems.py": "page",
        "tests/test_dvc_pipeline.py": "pipeline",
        "tests/flows/test_deploy.py": "pipeline",
        "tests/flows/test_scheduled_pipeline.py": "pipeline",
    }
    assert {path: name_group(path) for path in groups} == groups


def test_long_groups_start_first_and_files_keep_their_order() -> None:
    short, other = Item("tests/test_workers.py"), Item("tests/test_suite_time.py")
    slow, beside = Item("tests/test_as_avx2.py", is_slow=True), Item("tests/test_as_avx2.py")
    shared = Item("tests/test_dvc_pipeline.py", is_slow=True)
    items: list[Any] = [short, other, slow, shared, beside]
    start_long_groups_first(items)
    assert items == [shared, slow, beside, short, other]


@pytest.fixture
def as_worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes this process one of two workers."""

    def become(number: int) -> None:
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{number}")
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")

    return become


def test_two_workers_never_find_the_same_port(as_worker: Callable[[int], None]) -> None:
    ports = []
    for number in range(2):
        as_worker(number)
        ports.append({find_free_port() for _ in range(20)})
    assert not ports[0] & ports[1]


class Folders:
    """Temporary folders of one worker."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)

    def getbasetemp(self) -> Path:
        return self.path


def test_one_worker_builds_and_the_other_finds_the_result(tmp_path: Path, as_worker: Callable[[int], None]) -> None:
    as_worker(0)
    built: list[Path] = []
    for name in ("gw0", "gw1"):
        folders: Any = Folders(tmp_path / name)
        assert do_once(folders, "it", built.append) == tmp_path
    assert built == [tmp_path]


def test_a_failed_build_is_tried_again(tmp_path: Path, as_worker: Callable[[int], None]) -> None:
    as_worker(0)
    folders: Any = Folders(tmp_path / "gw0")

    def fail(_: Path) -> None:
        raise ValueError("no disk")

    with pytest.raises(ValueError, match="no disk"):
        do_once(folders, "it", fail)
    built: list[Path] = []
    do_once(folders, "it", built.append)
    assert built == [tmp_path]


def start_project(folder: Path, run_in: Callable[..., str], *, value: str) -> Path:
    """Write a DVC project of one stage that copies a file."""
    folder.mkdir()
    stage = {"cmd": "cp given made", "deps": ["given"], "outs": ["made"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"copy": stage}}), encoding="utf-8")
    (folder / "given").write_text(value, encoding="utf-8")
    run_in(folder, "dvc", "init", "-q", "--no-scm")
    return folder


@pytest.mark.slow
def test_an_unchanged_stage_comes_from_the_kept_cache(
    tmp_path: Path, run_in: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_cache, "HOME", tmp_path / "kept")
    ran = []
    for number, value in enumerate(("one", "one", "two")):
        project = start_project(tmp_path / str(number), run_in, value=value)
        with kept_cache.kept_cache(project, "tiny"):
            ran.append("Running stage 'copy'" in run_in(project, "dvc", "repro"))
        assert (project / "made").read_text(encoding="utf-8") == value
    assert ran == [True, False, True]
    monkeypatch.setattr(kept_cache, "LIMIT_BYTES", 0)
    project = start_project(tmp_path / "full", run_in, value="one")
    with kept_cache.kept_cache(project, "tiny"):
        assert "Running stage 'copy'" in run_in(project, "dvc", "repro")

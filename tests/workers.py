"""Test groups for two workers of pytest-xdist: tests that share a resource stay on one worker; shared folders are built once.

The tests of one file are a group, because they share the fixtures of their module. Files whose tests share a server, or a
folder that they change and restore, are also a group. Long groups start first, so that both workers end at about the same time.

The groups are not marks: pytest-xdist 3.8 passes `xdist_group` on by a private name that pytest 9.2 no longer reads.
"""

import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
SHARED = {  # (folder, session fixture; none: all tests) -> group of the files that use it; the first match counts
    ("tests/", "tiny_pipeline"): "pipeline",
    ("tests/", "prefect_service"): "pipeline",
    ("tests/serving/api/", "api"): "api",
    ("tests/serving/page/", ""): "page",
}
WORKER_VARIABLE = "PYTEST_XDIST_WORKER"


def is_worker() -> bool:
    """Tell whether this process is one of several test workers."""
    return WORKER_VARIABLE in os.environ


def use_one_thread() -> None:
    """Limit torch to one thread, here and in processes that tests start, because each core has a worker."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@cache
def name_group(path: str) -> str:
    """Return the group of a test file, by the fixtures of its tests; the path is relative to the checkout."""
    source = (ROOT / path).read_text(encoding="utf-8")
    shared = (group for (folder, fixture), group in SHARED.items() if path.startswith(folder) and _asks_for(source, fixture))
    return next(shared, path)


def _asks_for(source: str, fixture: str) -> bool:
    return re.search(rf"\b{fixture}: ", source) is not None if fixture else True


def start_long_groups_first(items: list[pytest.Item]) -> None:
    """Sort tests: shared groups first, then files with slow tests, then all others."""
    groups = {item: name_group(item.path.relative_to(ROOT).as_posix()) for item in items}
    long = set(SHARED.values())
    with_slow = {group for item, group in groups.items() if any(map(item.get_closest_marker, ("slow", "whole", "fault")))}
    items.sort(key=lambda item: (groups[item] not in long, groups[item] not in with_slow))


def do_once(folders: pytest.TempPathFactory, name: str, action: Callable[[Path], object]) -> Path:
    """Run an action once, in the folder that all workers share, while the other workers wait; return the folder."""
    folder = folders.getbasetemp().parent if is_worker() else folders.getbasetemp()
    with FileLock(folder / f"{name}.lock"):
        if not (folder / f"{name}.done").exists():
            action(folder)
            (folder / f"{name}.done").touch()
    return folder

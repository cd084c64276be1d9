"""Fixtures of code identity: a copy of this checkout that tests may change, and the code of its stages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from corpus.files import read_json
from quick_project import finish, finished_pipeline, project

__all__ = ["finish", "finished_pipeline", "project"]

ROOT = Path(__file__).resolve().parents[2]
Codes = dict[str, dict[str, str]]  # stage, or stage@role -> file -> hash
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def code_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the inputs of stage `identity`; tests must restore the files that they change."""
    folder = tmp_path_factory.mktemp("code")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name in stages["identity"]["deps"]:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def run_program(code_copy: Path) -> Run:
    """Return a function that runs a module of the copy as a program."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" and not key.startswith("DVC_")}
        program = [sys.executable, "-m", *command]
        return subprocess.run(program, cwd=code_copy, env=kept, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def identify(code_copy: Path, run_program: Run) -> Callable[[], Codes]:
    """Return a function that runs stage `identity` in the copy and returns its output."""

    def run() -> Codes:
        shutil.rmtree(code_copy / "data", ignore_errors=True)
        done = run_program("stages.identity")
        assert done.returncode == 0, done.stderr
        folder = code_copy / "data" / "identity"
        names = {path: path.relative_to(folder).with_suffix("") for path in sorted(folder.rglob("*.json"))}
        return {"@".join(name.parts): read_json(path)["files"] for path, name in names.items()}

    return run


@pytest.fixture(scope="session")
def codes(identify: Callable[[], Codes]) -> Codes:
    """Return the code of every stage of the unchanged copy."""
    return identify()


@pytest.fixture(scope="session")
def change(code_copy: Path) -> Callable[..., object]:
    """Return a context manager that changes files of the copy during a block."""

    @contextmanager
    def changed(contents: dict[str, str]) -> Iterator[None]:
        before = {name: (code_copy / name).read_bytes() if (code_copy / name).exists() else None for name in contents}
        try:
            for name, content in contents.items():
                (code_copy / name).write_text(content, encoding="utf-8")
            yield
        finally:
            for name, content in before.items():
                (code_copy / name).unlink() if content is None else (code_copy / name).write_bytes(content)

    return changed

"""A bento of the service: its build context, its build in a separate home, and a reproducible archive."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import yaml
from packaging.requirements import Requirement

from corpus.code import find_closure
from corpus.files import write_file

NAME, SERVICE_MODULE, SERVICE_CLASS = "cuepoint", "serving.service", "CuepointService"
_CREATION_TIME = re.compile(r"^creation_time: .*$", re.MULTILINE)
_EPOCH = "creation_time: '1970-01-01T00:00:00+00:00'"
_SHOWN_LINES = 15


def read_packages(pyproject: Path, *, also: Sequence[str] = ()) -> list[str]:
    """Return the packages of serving (base, extra `serve` and `also`), pinned to the versions of this environment."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serve"], *also]
    names = sorted({Requirement(line).name for line in wanted})
    return [f"{name}=={version(name)}" for name in names]


def copy_context(context: Path, *, source: Path, folders: dict[str, Path], packages: Sequence[str]) -> None:
    """Fill a build context: the service's code with its imports, the `data/` folders in `folders`, the bentofile."""
    code = list(find_closure([SERVICE_MODULE], root=source).files)
    for path in code:
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, context / path)
    for name, folder in folders.items():
        shutil.copytree(folder, context / "data" / name)
    bentofile = {
        "service": f"{SERVICE_MODULE}:{SERVICE_CLASS}",
        "name": NAME,
        "description": "Cuepoint: a sentence goes in, (video, start, end) comes out.",
        "include": [*sorted({f"{Path(path).parts[0]}/" for path in code}), "data/"],
        "python": {"packages": list(packages), "lock_packages": False},
    }
    (context / "bentofile.yaml").write_text(yaml.safe_dump(bentofile, sort_keys=True), encoding="utf-8")


def build_bento(context: Path, *, home: Path, bento_version: str) -> Path:
    """Build a bento in its own `BENTOML_HOME` and return its folder.

    Raises:
        ValueError: with the end of BentoML's output, when the build fails.
    """
    home.mkdir(parents=True)
    command = [sys.executable, "-m", "bentoml", "build", str(context), "--version", bento_version]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "BENTOML_CONFIG")}
    environment |= {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run(command, env=environment, cwd=context, capture_output=True, text=True, check=False)
    folder = home / "bentos" / NAME / bento_version
    if done.returncode or not folder.is_dir():
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise ValueError("\n".join(["bentoml build failed; its last output:", *lines[-_SHOWN_LINES:]]))
    return folder


def archive_bento(folder: Path, path: Path) -> None:
    """Write a bento folder as an archive for `bentoml import`, independent of times, owners and file order."""
    info = folder / "bento.yaml"
    info.write_text(_CREATION_TIME.sub(_EPOCH, info.read_text(encoding="utf-8")), encoding="utf-8")

    def write(target: BinaryIO) -> None:
        with tarfile.open(fileobj=target, mode="w:xz", preset=0, format=tarfile.PAX_FORMAT) as archive:
            for file in _iter_files(folder):
                archive.add(file, arcname=str(file.relative_to(folder)), recursive=False, filter=_forget_machine)

    write_file(path, write)


def _iter_files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


def _forget_machine(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry

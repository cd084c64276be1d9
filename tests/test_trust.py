"""Nothing that the pipeline writes can run code when it is read: no pickle lies among its artefacts."""

import io
import lzma
import pickle
import pickletools
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

FOLDERS = ("data", ".cache", ".dvc/cache")
PLAIN = (".mp4", ".jpg", ".png", ".jsonl", ".csv", ".html", ".yaml", ".md")


def walk(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every file of a folder, and of the files in its archives."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in PLAIN:
            yield from open_up(str(path.relative_to(folder)), path.read_bytes())


def open_up(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield from open_up(f"{name}!{member}", archive.read(member))
    elif content.startswith(b"\xfd7zXZ"):
        with tarfile.open(fileobj=io.BytesIO(lzma.decompress(content))) as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                if file is not None:
                    yield from open_up(f"{name}!{entry.name}", file.read())


def is_pickle(content: bytes) -> bool:
    """Tell whether bytes are a whole pickle, or an array of NumPy that holds one."""
    if content.startswith(b"\x93NUMPY"):
        return b"'descr': '|O'" in content[:256]
    if not content.endswith(b".") or len(content) < 3:
        return False
    try:
        last = list(pickletools.genops(content))[-1]
    except Exception:  # each opcode fails in its own way on bytes that are no pickle
        return False
    return last[2] == len(content) - 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_each_protocol_is_recognized(protocol: int) -> None:
    assert is_pickle(pickle.dumps({"weights": [1.0, 2.0]}, protocol))


def test_an_array_of_objects_and_a_member_of_an_archive_are_recognized(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "weights.pt", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps([1]))
    assert [name for name, content in walk(tmp_path) if is_pickle(content)] == ["objects.npy", "weights.pt!data.pkl"]


def test_other_files_are_no_pickles(tmp_path: Path) -> None:
    np.save(tmp_path / "numbers.npy", np.zeros(3))
    (tmp_path / "words.txt").write_text("A sentence ends with a dot.")
    (tmp_path / "short").write_bytes(b".")
    assert [name for name, content in walk(tmp_path) if is_pickle(content)] == []


@pytest.mark.slow
def test_no_artefact_of_the_pipeline_is_a_pickle(tiny_pipeline: Path) -> None:
    names = [f"{folder}/{name}" for folder in FOLDERS for name, content in walk(tiny_pipeline / folder) if is_pickle(content)]
    assert names == []
    assert any(name.startswith("bento/cuepoint.bento!src/") for name, _ in walk(tiny_pipeline / "data"))

"""A Milvus for the tests of a module: milvus-lite, in its own file."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from clip_vectors import BUNDLE
from search.clip_index import ClipIndex
from search.milvus.address import MilvusAddress
from search.milvus.index import MilvusClipIndex


@pytest.fixture(scope="module")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("milvus") / "lite.db")


@pytest.fixture(scope="module")
def new_place(milvus_uri: str) -> Callable[[], MilvusAddress]:
    numbers = count()
    return lambda: MilvusAddress(milvus_uri, collection=f"clips_{next(numbers)}")


@pytest.fixture(scope="module")
def open_index() -> Iterator[Callable[..., MilvusClipIndex]]:
    """Opens indexes, and closes their connections after the module."""
    opened: list[MilvusClipIndex] = []

    def open_one(place: MilvusAddress, source: ClipIndex, *, bundle_version: str = BUNDLE) -> MilvusClipIndex:
        opened.append(MilvusClipIndex.open(place, source, bundle_version=bundle_version))
        return opened[-1]

    yield open_one
    for index in opened:
        index.close()

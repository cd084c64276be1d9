"""A predictor over Milvus answers like an in-process one, also after changes of the collection and a restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clip_vectors import BUNDLE
from search.answers import Answer, SearchQuery
from search.milvus.address import MilvusAddress
from search.milvus.index import MilvusClipIndex
from search.predictor import MomentPredictor

pytestmark = pytest.mark.slow

QUERIES = ("the red circle spins", "a blue square leaves", "something moves right")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> MilvusAddress:
    return MilvusAddress(str(tmp_path_factory.mktemp("milvus") / "lite.db"))


@pytest.fixture(scope="module")
def here(small_project: Any) -> MomentPredictor:
    return MomentPredictor.load(small_project.bundle, small_project.index, num_threads=1)


@pytest.fixture
def there(small_project: Any, place: MilvusAddress) -> Iterator[MomentPredictor]:
    predictor = MomentPredictor.load(small_project.bundle, small_project.index, num_threads=1, milvus=place)
    yield predictor
    assert isinstance(predictor.collection.clips, MilvusClipIndex)
    predictor.collection.clips.close()


def answer(predictor: MomentPredictor, **limits: Any) -> list[Answer]:
    return predictor.search([SearchQuery(query, 9, **limits) for query in QUERIES])


def require_same(found: list[Answer], expected: list[Answer]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert [moment[:3] for moment in ours.moments] == [moment[:3] for moment in theirs.moments]
        assert [moment.score for moment in ours.moments] == pytest.approx([moment.score for moment in theirs.moments], abs=1e-5)


def test_both_predictors_give_the_same_answers(here: MomentPredictor, there: MomentPredictor) -> None:
    require_same(answer(there), answer(here))
    require_same(answer(there, video_ids=frozenset({"v1", "v2"})), answer(here, video_ids=frozenset({"v1", "v2"})))
    assert there.localize(QUERIES[0], "v2").moments == here.localize(QUERIES[0], "v2").moments


def test_both_give_the_same_after_a_video_is_removed_and_added_again(here: MomentPredictor, there: MomentPredictor) -> None:
    video, encoded = there.collection.find_video("v1"), there.collection.get_encoded("v1")
    there.remove_video("v1")
    assert {moment.video_id for one in answer(there) for moment in one.moments}.isdisjoint({"v1"})
    there.add_video(video, encoded)
    require_same(answer(there), answer(here))


def test_a_video_that_one_service_deleted_can_be_deleted_by_the_next(
    here: MomentPredictor, there: MomentPredictor, small_project: Any, place: MilvusAddress
) -> None:
    there.remove_video("v1")
    again = MomentPredictor.load(small_project.bundle, small_project.index, num_threads=1, milvus=place)
    require_same(answer(again), answer(here))
    again.remove_video("v1")
    again.discard_strays()
    require_same(answer(again), answer(there))


def test_the_vectors_of_another_bundle_are_refused(small_project: Any, here: MomentPredictor, tmp_path: Path) -> None:
    named = MilvusAddress(str(tmp_path / "lite.db"), collection="clips")
    MilvusClipIndex.open(named, here.collection.clips, bundle_version=BUNDLE).close()
    with pytest.raises(ValueError, match=f"made by the bundle {BUNDLE} .* but this is the bundle {here.bundle.version}"):
        MomentPredictor.load(small_project.bundle, small_project.index, milvus=named)

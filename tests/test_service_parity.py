"""Parity of service and evaluation: the service's answers on the test videos equal evaluate's predictions."""

from pathlib import Path

import pytest
from service_parity import MAX_SCORE_DIFFERENCE, Comparison, Ranked, compare_pipeline

EXPECTED = [Ranked("a", 0.0, 1.0, 0.9), Ranked("b", 2.0, 3.0, 0.50004), Ranked("c", 4.0, 5.0, 0.5)]


@pytest.mark.slow
def test_the_service_gives_the_predictions_that_were_evaluated(tiny_pipeline: Path, tmp_path: Path) -> None:
    for one in compare_pipeline(tiny_pipeline / "data", tmp_path).values():
        assert one.num_moments > one.num_sentences > 0
        assert one.score_difference <= MAX_SCORE_DIFFERENCE
        assert one.faults == []


def compare(served: list[Ranked]) -> list[str]:
    comparison = Comparison()
    comparison.add("a circle", served, EXPECTED)
    return comparison.faults


def test_moments_with_equal_scores_may_change_places() -> None:
    assert compare([EXPECTED[0], EXPECTED[2], EXPECTED[1]]) == []


@pytest.mark.parametrize(
    "served",
    [
        EXPECTED[:2],  # one too few
        [EXPECTED[0]._replace(score=0.9002), *EXPECTED[1:]],
        [EXPECTED[0]._replace(end_s=1.01), *EXPECTED[1:]],
        [EXPECTED[0]._replace(video_id="b"), *EXPECTED[1:]],
    ],
)
def test_a_difference_is_noticed(served: list[Ranked]) -> None:
    assert len(compare(served)) == 1

"""Two answers agree if their first moments are the same."""

import pytest

from search.answers import Answer, FoundMoment, Verdict
from serving.variants.agreement import agree, compute_overlap


def build(*spans: tuple[str, float, float], found: bool = True) -> Answer:
    moments = tuple(FoundMoment(*span, score=1.0, confidence=None) for span in spans)
    guess = None if found or not moments else moments[0]
    return Answer(Verdict.FOUND if found else Verdict.NOT_FOUND, moments if found else (), guess, ())


@pytest.mark.parametrize(
    ("ours", "theirs", "is_same"),
    [
        (build(("a", 1, 3)), build(("a", 1, 3)), True),
        (build(("a", 1, 3)), build(("b", 1, 3)), False),
        (build(("a", 0, 2)), build(("a", 0, 4)), True),  # half of the whole
        (build(("a", 0, 2)), build(("a", 1, 4)), False),  # a quarter
        (build(("a", 0, 2)), build(("a", 5, 7)), False),
        (build(("a", 1, 3), ("b", 0, 1)), build(("a", 1, 3), ("c", 0, 1)), True),  # only the first counts
        (build(("a", 1, 3)), build(("a", 1, 3), found=False), True),  # the best guess is a first answer
        (build(("a", 1, 3)), build(), False),
        (build(), build(), True),
    ],
)
def test_the_first_moments_decide(ours: Answer, theirs: Answer, is_same: bool) -> None:
    assert agree(ours, theirs) is agree(theirs, ours) is is_same


def test_the_overlap_is_that_of_the_formula() -> None:
    first, second = build(("a", 0, 3)).moments[0], build(("a", 2, 6)).moments[0]
    assert compute_overlap(first, second) == pytest.approx(1 / 6)

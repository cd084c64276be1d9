"""Inputs that all arms share, and the values that the figures of an arm depend on."""

from typing import Any, cast

import pytest

from flows.bench.arms import Group
from flows.bench.given import Given

SEARCH = {"survivors": 20, "max_iou": 0.5, "window_weight": 2}


def give(**search: float) -> Given:
    """Return rules without data."""
    nothing = cast("Any", None)
    return Given(nothing, nothing, "shapes", "a dataset", {"split": "test"}, {**SEARCH, **search})


@pytest.mark.parametrize(("group", "is_searched"), [("retriever", True), ("localizer", False), ("floor", False), ("loss", False)])
def test_search_settings_only_affect_the_figures_of_retrievers(group: Group, is_searched: bool) -> None:
    before = give().list_rules(group)
    assert (give(window_weight=1).list_rules(group) != before) is is_searched
    assert give(max_iou=0.4).list_rules(group) != before  # candidates of one video are suppressed everywhere
    assert (before["dataset"], before["evaluate"]) == ("a dataset", {"split": "test"})

"""Charts of columns: every value is in a bar, broken values are marked, text is escaped."""

import re

import pandas as pd
import pytest

from corpus.gate.histograms import draw_names, draw_numbers


def count_in_bars(svg: str) -> int:
    return sum(int(number) for number in re.findall(r'class="bar"[^>]*><title>[^<]*: (\d+)</title>', svg))


@pytest.mark.parametrize(
    "values",
    [
        [3.0],
        [3.0, 3.0],
        [0.1],
        [1.5, 1.5],
        [-2.0, 5.5, 1e6],
        [float(number) for number in range(500)],
        [1e300, 1.0],
        [25.0, 29.97],
    ],
)
def test_every_value_is_in_one_bar(values: list[float]) -> None:
    series = pd.Series([*values, None], dtype="float64")
    assert count_in_bars(draw_numbers(series, series > 1e9)) == len(values)


def test_only_values_that_break_a_rule_are_marked() -> None:
    series = pd.Series([1.0, 2.0, 9.0])
    assert draw_numbers(series, series > 5).count('class="mark"') == 1
    assert draw_names(pd.Series(["a", "b", "b"]), pd.Series([True, False, False])).count('class="mark"') == 1


def test_values_far_from_all_others_share_the_last_bar_which_says_so() -> None:
    series = pd.Series([*range(1000), 10**6], dtype="float64")
    assert "… 1,000,000</text>" in draw_numbers(series, series < 0)


def test_names_are_escaped_counted_and_the_rest_is_summed() -> None:
    names = pd.Series(["<b>", "<b>", *"cdefghi"], dtype="str")
    svg = draw_names(names, pd.Series(False, index=names.index))
    assert "&lt;b&gt;" in svg
    assert "<b>" not in svg
    assert "2 others" in svg


def test_a_column_without_values_says_so() -> None:
    assert "no values" in draw_numbers(pd.Series([None], dtype="float64"), pd.Series([False]))
    assert "no values" in draw_names(pd.Series([], dtype="str"), pd.Series([], dtype="bool"))

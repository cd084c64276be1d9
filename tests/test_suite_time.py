"""The page of the suite's time: parsing of pytest's output, and arithmetic by hand."""

import pytest
from benchmarks.suite_time import Phase, build_page, list_phases, read_run, sum_folders

OUTPUT = """
........ [100%]
============================= slowest durations =============================
1.50s call     tests/models/test_a.py::test_one[x@y]
20.25s setup    tests/serving/api/test_b.py::test_two
0.50s call     tests/models/test_c.py::test_three[a@b]
0.06s teardown tests/test_d.py::test_four
8 passed, 1 skipped, 3 deselected in 61.04s (0:01:01)
"""
PHASES = [
    Phase(1.5, "call", "tests/models/test_a.py::test_one[x@y]"),
    Phase(20.25, "setup", "tests/serving/api/test_b.py::test_two"),
    Phase(0.5, "call", "tests/models/test_c.py::test_three[a@b]"),
    Phase(0.06, "teardown", "tests/test_d.py::test_four"),
]


def test_phases_are_read_as_pytest_prints_them() -> None:
    assert list(list_phases(OUTPUT)) == PHASES


def test_folders_have_the_seconds_of_their_tests() -> None:
    assert sum_folders(PHASES) == [("tests/serving/api", 20.25), ("tests/models", 2.0), ("tests", 0.06)]


def test_the_page_names_totals_and_the_slowest_tests() -> None:
    page = build_page([read_run("test", OUTPUT, cpu_s=99.6)], made="At abc.")
    assert "| `make test` | 8 passed, 1 skipped, 3 deselected | 61 | 100 |" in page
    assert page.index("`tests/serving/api/test_b.py::test_two`") < page.index("`tests/models/test_a.py::test_one[x@y]`")
    assert "\n\nAt abc.\n\n" in page


def test_a_run_without_an_outcome_is_an_error() -> None:
    with pytest.raises(ValueError, match="make quick printed no outcome; its last lines were:\nmake: error"):
        read_run("quick", "make: error\n", cpu_s=0.0)

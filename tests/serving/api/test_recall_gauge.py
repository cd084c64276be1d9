"""A running service checks its own searches and says in its metrics how many of the best moments they found."""

import re
from typing import Any

import pytest

from loopback import wait_until

pytestmark = pytest.mark.slow


def read_gauge(api: Any, name: str) -> float:
    (value,) = re.findall(rf"^{name} (\S+)$", api.client.get("/metrics").text, re.MULTILINE)
    return float(value)


def test_the_recall_of_the_search_is_measured_on_sentences_that_were_asked(api: Any) -> None:
    api.client.post("/search", json={"query": "the red circle moves"}).raise_for_status()
    wait_until(lambda: read_gauge(api, "cuepoint_two_stage_recall_checks") >= 1, 180)
    assert 0 <= read_gauge(api, "cuepoint_two_stage_recall") <= 1

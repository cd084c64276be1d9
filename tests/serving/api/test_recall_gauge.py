"""A running service checks its own searches and reports their recall in its metrics."""

import re
from typing import Any

import pytest

from loopback import wait_until

pytestmark = pytest.mark.slow


def read_gauge(api: Any, name: str) -> float:
    (value,) = re.findall(rf"^{name} (\S+)$", api.client.get("/metrics").text, re.MULTILINE)
    return float(value)


def test_recall_is_measured_on_sentences_of_clients(api: Any) -> None:
    api.client.post("/search", json={"query": "the red circle moves"}).raise_for_status()
    wait_until(lambda: read_gauge(api, "cuepoint_two_stage_recall_checks") >= 1, 180)
    assert 0 <= read_gauge(api, "cuepoint_two_stage_recall") <= 1

"""Every endpoint of a running service answers as /openapi.json says."""

from typing import Any

import pytest

pytestmark = pytest.mark.slow
QUERY = "the red circle moves"


def test_a_search_finds_moments_of_the_collection(api: Any) -> None:
    answer = api.client.post("/search", json={"query": QUERY, "top_k": 3, "min_score": -100}).json()
    print(answer)
    assert len(answer["moments"]) == 3

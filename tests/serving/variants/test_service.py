"""A running service with a challenger: tried on a share of the clients or as a shadow, and removed if it is worse."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from loopback import Server, open_service, wait_until

pytestmark = pytest.mark.slow
QUERY = "the red circle moves"  # four words: too many for the failing challenger
JUDGED_AFTER = 10
CHANGE_LIMIT_S = 180


class Client:
    """A client of a service with a challenger."""

    def __init__(self, server: Server, http: httpx.Client) -> None:
        self.server, self.http = server, http

    def search(self, client: str = "", **limits: Any) -> dict[str, Any]:
        """Search as a client with this key."""
        headers = {"X-Cuepoint-Client": client} if client else {}
        answer = self.http.post("/search", json={"query": QUERY, "top_k": 2, **limits}, headers=headers)
        return dict(answer.raise_for_status().json())

    def describe(self) -> dict[str, Any]:
        """Return the status of the challenger."""
        return dict(self.http.get("/version").raise_for_status().json()["challenger"])

    def count(self, line: str) -> float:
        """Return a value of the metrics."""
        (row,) = [row for row in self.http.get("/metrics").text.splitlines() if row.startswith(line)]
        return float(row.rpartition(" ")[2])

    def find_key(self, variant: str) -> str:
        """Return the key of a client that a variant answers."""
        return next(key for key in map(str, range(99)) if self.search(key)["versions"]["variant"] == variant)


@contextmanager
def serve(environment: dict[str, str], home: Path, challenger: Path, **variables: str) -> Iterator[Client]:
    """Serve the small project with a challenger that is judged after few requests."""
    own = {"CUEPOINT_CHALLENGER": str(challenger), "CUEPOINT_CHALLENGER_SHARE": "0.5", "CUEPOINT_CHALLENGER_P95_MARGIN_MS": "30"}
    judged = {"CUEPOINT_CHALLENGER_MIN_REQUESTS": str(JUDGED_AFTER)}
    with open_service(home, **environment, **own, **judged, **variables) as (server, http):
        yield Client(server, http)


def test_a_failing_challenger_fails_no_answer_and_is_removed(
    small_environment: dict[str, str], challengers: dict[str, Path], tmp_path: Path
) -> None:
    with serve(small_environment, tmp_path, challengers["failing"]) as client:
        assert client.describe()["state"] == "serving"
        answers = [client.search(str(number)) for number in range(4 * JUDGED_AFTER)]
        status = client.describe()
        assert {answer["versions"]["variant"] for answer in answers} == {"champion"}
        assert all(len(answer["moments"]) == 2 for answer in answers)
        assert (status["state"], "failed, 0.0% of the champion's" in status["reason"]) == ("out", True)
        assert client.count("cuepoint_challenger_serving") == 0
        assert client.count('cuepoint_variant_requests_total{outcome="failed",variant="challenger"}') == JUDGED_AFTER
        assert "is out until the service starts again: 100.0%" in client.server.read_log()
        assert 'status="500"' not in client.http.get("/metrics").text


def test_a_slow_challenger_is_removed_and_then_answers_nobody(
    small_environment: dict[str, str], challengers: dict[str, Path], tmp_path: Path
) -> None:
    with serve(small_environment, tmp_path, challengers["slow"]) as client:
        variants = [client.search(str(number))["versions"]["variant"] for number in range(6 * JUDGED_AFTER)]
        status = client.describe()
        assert status["state"] == "out"
        assert status["reason"].startswith("the p95 of its latest")
        assert variants.count("challenger") >= JUDGED_AFTER
        assert client.count('cuepoint_variant_requests_total{outcome="answered",variant="challenger"}') == variants.count(
            "challenger"
        )
        assert {client.search(str(number))["versions"]["variant"] for number in range(JUDGED_AFTER)} == {"champion"}


def test_a_slow_shadow_is_removed_and_its_answers_are_compared(
    small_environment: dict[str, str], challengers: dict[str, Path], tmp_path: Path
) -> None:
    with serve(small_environment, tmp_path, challengers["slow"], CUEPOINT_CHALLENGER_MODE="shadow") as client:
        assert client.describe()["mode"] == "shadow"

        def is_out() -> bool:
            assert client.search()["versions"]["variant"] == "champion"
            return bool(client.describe()["state"] != "serving")

        wait_until(is_out, CHANGE_LIMIT_S, what=client.server.read_log)
        status = client.describe()
        assert status["reason"].startswith("the p95 of its latest")
        assert status["agreement"] == 1.0  # it is slow, not wrong
        assert client.count('cuepoint_shadow_answers_total{outcome="agreed"}') >= JUDGED_AFTER - 1


@pytest.mark.parametrize("name", ["twin", "other"])
def test_uploads_and_deletions_reach_both_even_after_a_restart(
    small_environment: dict[str, str], challengers: dict[str, Path], small_project: Any, tmp_path: Path, name: str
) -> None:
    def find(client: Client, key: str, video_id: str) -> dict[str, Any]:
        wait_until(lambda: client.describe()["state"] == "serving", CHANGE_LIMIT_S, what=client.server.read_log)
        return client.search(key, video_ids=[video_id])

    content = (small_project.raw / "videos" / "v1.mp4").read_bytes() + b"\0\0\0\x08free"
    with serve(small_environment, tmp_path, challengers[name]) as client:
        key = client.find_key("challenger")
        video_id = client.http.post("/videos", files={"file": ("a.mp4", content)}).raise_for_status().json()["video_id"]
        row = f"/videos/{video_id}"
        wait_until(lambda: client.http.get(row).json()["state"] == "ready", CHANGE_LIMIT_S, what=client.server.read_log)
        assert client.search(key, video_ids=[video_id])["moments"][0]["video_id"] == video_id  # whoever answers
        assert find(client, key, video_id)["versions"]["variant"] == "challenger"
        client.http.delete("/videos/v2").raise_for_status()
    with serve(small_environment, tmp_path, challengers[name]) as client:
        found = find(client, key, video_id)
        assert (found["versions"]["variant"], found["moments"][0]["video_id"]) == ("challenger", video_id)
        everything = client.search(key, top_k=100, min_score=-100)
        assert everything["versions"]["variant"] == "challenger"
        assert "v2" not in {moment["video_id"] for moment in everything["moments"]}
        client.http.delete(f"/videos/{video_id}").raise_for_status()
        answer = client.http.post("/search", json={"query": QUERY, "video_ids": [video_id]}, headers={"X-Cuepoint-Client": key})
        assert answer.status_code == 404
        assert client.describe()["state"] == "serving"


def test_a_browser_meets_one_variant_and_feedback_names_it(
    small_environment: dict[str, str], challengers: dict[str, Path], tmp_path: Path
) -> None:
    with serve(small_environment, tmp_path, challengers["twin"]) as client:
        key = client.find_key("challenger")
        assert client.http.get("/").cookies.get("cuepoint_client")  # the client keeps it
        questions = [f"the red circle {verb}" for verb in ("spins", "grows", "moves", "blinks", "stops", "fades")]
        answers = [client.http.post("/search", json={"query": query}).json() for query in questions]
        assert len({answer["versions"]["variant"] for answer in answers}) == 1
        answer = client.search(key)
        given = {"query": QUERY, "video_id": "v1", "start_s": 0, "end_s": 1, "verdict": "wrong", "answer_id": answer["answer_id"]}
        client.http.post("/feedback", json=given).raise_for_status()
        assert '"variant": "challenger"' in (tmp_path / "state" / "feedback.jsonl").read_text(encoding="utf-8")


def test_a_damaged_challenger_does_not_stop_the_champion(
    small_environment: dict[str, str], challengers: dict[str, Path], tmp_path: Path
) -> None:
    with serve(small_environment, tmp_path, challengers["twin"] / "bundle") as client:
        assert client.search()["versions"]["variant"] == "champion"
        status = client.describe()
        assert (status["state"], status["model"]) == ("refused", "")
        assert "it must be a folder with bundle/ and index/, or a bento" in status["reason"]
        assert client.count("cuepoint_challenger_serving") == 0

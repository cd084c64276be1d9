"""The service over a fetched pair: answers name the models, and uploads, thumbnails and deletions work as for trained ones."""

from pathlib import Path
from typing import Any

import pytest

from flat_videos import Flat, write_flat
from search.answers import SearchQuery
from search.kinds import load_predictor

pytestmark = pytest.mark.slow
QUERY = "a red circle"


def test_an_answer_is_that_of_the_predictor_and_names_the_models(pair_api: Any, pair_project: Any) -> None:
    answer = pair_api.client.post("/search", json={"query": QUERY, "top_k": 2}).raise_for_status().json()
    predictor = load_predictor(pair_project.model, pair_project.index)
    (expected,) = predictor.search(SearchQuery(QUERY, 2))
    assert [(one["video_id"], one["score"]) for one in answer["moments"]] == [
        (one.video_id, pytest.approx(one.score)) for one in expected.moments
    ]
    assert answer["basis"] is None
    versions, named = answer["versions"], predictor.bundle.model
    assert (versions["model_name"], versions["model_revision"]) == ("clip", named.revision)


def test_the_version_says_what_the_models_are_good_for(pair_api: Any) -> None:
    about = pair_api.client.get("/version").raise_for_status().json()
    assert about["good_for"].startswith("What one picture shows")
    assert about["versions"]["model_name"] == "clip"


def test_one_video_answers_with_its_timeline(pair_api: Any) -> None:
    answer = pair_api.client.post("/localize", json={"query": QUERY, "video_id": "white.mp4"}).raise_for_status().json()
    assert len(answer["timeline"]["times_s"]) == 4  # one clip a second
    assert {moment["video_id"] for moment in answer["moments"]} == {"white.mp4"}


def test_an_upload_is_found_and_pictured_until_it_is_deleted(pair_api: Any, tmp_path: Path) -> None:
    path = write_flat(tmp_path / "blue.mp4", Flat((60, 200, 100), size=(64, 64)), num_frames=30)
    row = pair_api.upload(path.read_bytes(), "blue.mp4").raise_for_status().json()
    assert pair_api.wait_until_indexed(row["video_id"])["state"] == "ready"

    def list_found() -> set[str]:
        answer = pair_api.client.post("/search", json={"query": QUERY, "top_k": 9}).raise_for_status().json()
        return {moment["video_id"] for moment in answer["moments"]}

    assert list_found() == {"white.mp4", "grey.mp4", row["video_id"]}
    picture = pair_api.client.get(f"/thumbnails/{row['video_id']}/0.jpg").raise_for_status()
    assert picture.headers["content-type"] == "image/jpeg"
    pair_api.client.delete(f"/videos/{row['video_id']}").raise_for_status()
    assert list_found() == {"white.mp4", "grey.mp4"}


def test_the_bank_of_sentences_gives_a_confidence_and_nothing_is_ever_said_to_be_missing(pair_api: Any) -> None:
    answer = pair_api.client.post("/search", json={"query": QUERY}).raise_for_status().json()
    confidences = [moment["confidence"] for moment in answer["moments"]]
    assert len(confidences) == 2
    assert all(0 <= confidence <= 1 for confidence in confidences)
    assert answer["verdict"] in ("found", "unsure")
    for limit in (min(confidences), max(confidences), 1.0):
        limited = pair_api.client.post("/search", json={"query": QUERY, "min_confidence": limit}).raise_for_status().json()
        kept = [moment["confidence"] for moment in limited["moments"]]
        assert kept == [confidence for confidence in confidences if confidence >= limit]
        assert limited["verdict"] == ("found" if kept else "unsure")

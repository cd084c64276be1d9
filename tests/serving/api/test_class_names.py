"""The service over a zero-shot pair: answers with the names of classes, uploads, deletions, and what it says of its models."""

from pathlib import Path
from typing import Any

import pytest

from flat_videos import Flat, write_flat
from search.answers import SearchQuery
from search.kinds import load_predictor

pytestmark = pytest.mark.slow
QUERY = "a red circle"


def test_an_answer_is_that_of_the_predictor_with_the_classes_and_the_models(class_api: Any, class_project: Any) -> None:
    answer = class_api.client.post("/search", json={"query": QUERY, "top_k": 2}).raise_for_status().json()
    predictor = load_predictor(class_project.bundle, class_project.index)
    (expected,) = predictor.search(SearchQuery(QUERY, 2))
    assert [moment["video_id"] for moment in answer["moments"]] == [moment.video_id for moment in expected.moments]
    assert expected.basis is not None
    assert answer["basis"]["grounding"] == pytest.approx(expected.basis.grounding)
    assert [one["name"] for one in answer["basis"]["classes"]] == [one.name for one in expected.basis.classes]
    assert f"{expected.basis.grounding:.2f} similar" in answer["basis"]["note"]
    versions = answer["versions"]
    assert (versions["model_name"], versions["model_revision"]) == ("real", "tiny")
    assert versions["model"] == predictor.bundle.version[:12]


def test_one_video_answers_with_its_timeline(class_api: Any) -> None:
    answer = class_api.client.post("/localize", json={"query": QUERY, "video_id": "white.mp4"}).raise_for_status().json()
    assert len(answer["timeline"]["times_s"]) == 8
    assert {moment["video_id"] for moment in answer["moments"]} == {"white.mp4"}
    assert answer["basis"] is not None


def test_the_version_says_what_the_models_are_good_for(class_api: Any) -> None:
    about = class_api.client.get("/version").raise_for_status().json()
    assert about["good_for"].startswith("Objects, animals")
    assert about["versions"]["model_name"] == "real"


def test_an_upload_is_found_until_it_is_deleted(class_api: Any, tmp_path: Path) -> None:
    path = write_flat(tmp_path / "blue.mp4", Flat((60, 200, 100), size=(64, 64)), num_frames=30)
    row = class_api.upload(path.read_bytes(), "blue.mp4").raise_for_status().json()
    assert class_api.wait_until_indexed(row["video_id"])["state"] == "ready"

    def list_found() -> set[str]:
        answer = class_api.client.post("/search", json={"query": QUERY, "top_k": 9}).raise_for_status().json()
        return {moment["video_id"] for moment in answer["moments"]}

    assert list_found() == {"white.mp4", "grey.mp4", row["video_id"]}
    class_api.client.delete(f"/videos/{row['video_id']}").raise_for_status()
    assert list_found() == {"white.mp4", "grey.mp4"}


def test_a_video_that_is_not_kept_is_asked_about_once(class_api: Any, class_project: Any) -> None:
    files = {"file": ("white.mp4", (class_project.videos / "white.mp4").read_bytes(), "video/mp4")}
    answer = class_api.client.post("/localize/upload", files=files, data={"query": QUERY}).raise_for_status().json()
    inside = class_api.client.post("/localize", json={"query": QUERY, "video_id": "white.mp4"}).json()
    assert [moment["score"] for moment in answer["moments"]] == pytest.approx([moment["score"] for moment in inside["moments"]])


def test_a_confidence_is_refused_because_the_models_know_none(class_api: Any) -> None:
    answer = class_api.client.post("/search", json={"query": QUERY, "min_confidence": 0.5})
    assert answer.status_code == 400
    assert "real gives no confidence" in answer.json()["error"]

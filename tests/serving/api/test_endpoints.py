"""Every endpoint of a running service answers as documented."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from corpus.files import read_jsonl
from loopback import wait_until
from search.answers import SearchQuery
from search.predictor import MomentPredictor
from serving.traffic.segments import read_rows

pytestmark = pytest.mark.slow
QUERY = "the red circle moves"


@pytest.fixture(scope="module")
def predictor(small_project: Any) -> MomentPredictor:
    return MomentPredictor.load(small_project.bundle, small_project.index)


def test_a_search_gives_what_the_predictor_gives_with_versions(api: Any, predictor: MomentPredictor) -> None:
    (expected,) = predictor.search(SearchQuery(QUERY, 3))
    answer = api.client.post("/search", json={"query": QUERY, "top_k": 3}).raise_for_status().json()
    assert answer["found"] == expected.found
    assert [one["score"] for one in answer["moments"]] == pytest.approx([one.score for one in expected.moments], abs=1e-6)
    assert answer["versions"]["model"] == predictor.bundle.version[:12]
    assert answer["versions"]["variant"] == "champion"
    assert len(answer["versions"]["index"]) == 12
    assert answer["took_ms"] > 0
    best = answer["moments"][0]
    assert (best["title"], best["duration_s"]) == (best["video_id"], predictor.collection.videos[best["video_id"]].duration_s)


def test_a_search_is_limited_to_videos_and_scores(api: Any) -> None:
    answer = api.client.post("/search", json={"query": QUERY, "video_ids": ["v2"], "top_k": 9}).json()
    assert {one["video_id"] for one in answer["moments"]} == {"v2"}
    none = api.client.post("/search", json={"query": QUERY, "min_score": 1e6}).json()
    assert (none["found"], none["moments"]) == (False, [])
    assert none["best_guess"]["score"] < 1e6


def test_the_three_verdicts_are_told_and_documented(api: Any) -> None:
    found = api.client.post("/search", json={"query": QUERY}).json()
    missing = api.client.post("/search", json={"query": QUERY, "min_score": 1e6}).json()
    unsure = api.client.post("/search", json={"query": "a xylophone yodels"}).json()
    assert [one["verdict"] for one in (found, missing, unsure)] == ["found", "not_found", "unsure"]
    assert [one["found"] for one in (found, missing, unsure)] == [True, False, False]
    assert [one["reason"] for one in (found, missing, unsure)] == ["", "", "The models know 1 of the sentence's 3 words."]
    assert found["moments"]
    assert unsure["best_guess"] is not None
    schemas = api.client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["Verdict"]["enum"] == ["found", "unsure", "not_found"]
    assert {"verdict", "reason"} <= set(schemas["OneAnswer"]["required"])


def test_a_filter_with_an_unknown_video_is_not_found(api: Any) -> None:
    answer = api.client.post("/search", json={"query": QUERY, "video_ids": ["nowhere"]})
    assert answer.status_code == 404
    assert "'nowhere'" in answer.json()["error"]


def test_words_that_the_models_never_saw_are_named(api: Any) -> None:
    assert api.client.post("/search", json={"query": "the zebra spins"}).json()["unknown_words"] == ["zebra"]


def test_a_batch_gives_what_single_searches_give(api: Any) -> None:
    queries = [QUERY, "a square grows"]
    batch = api.client.post("/search/batch", json={"queries": queries, "top_k": 2}).raise_for_status().json()
    for query, answer in zip(queries, batch["answers"], strict=True):
        single = api.client.post("/search", json={"query": query, "top_k": 2}).json()
        assert [one["score"] for one in answer["moments"]] == pytest.approx([one["score"] for one in single["moments"]], abs=1e-5)


def test_localize_answers_about_one_video_with_its_timeline(api: Any) -> None:
    answer = api.client.post("/localize", json={"query": QUERY, "video_id": "v2", "top_k": 2}).raise_for_status().json()
    assert {one["video_id"] for one in answer["moments"]} == {"v2"}
    timeline = answer["timeline"]
    assert len(timeline["times_s"]) == len(timeline["scores"]) > 1
    assert timeline["candidates"][0]["score"] >= timeline["candidates"][-1]["score"]
    assert api.client.post("/localize", json={"query": QUERY, "video_id": "nowhere"}).status_code == 404


def test_a_single_search_of_a_video_equals_that_of_the_collection_and_keeps_nothing(api: Any, small_project: Any) -> None:
    content = (small_project.raw / "videos" / "v2.mp4").read_bytes()
    files = {"file": ("my clip.mp4", content)}
    answer = api.client.post("/localize/upload", files=files, data={"query": QUERY, "top_k": "2"}).raise_for_status().json()
    expected = api.client.post("/localize", json={"query": QUERY, "video_id": "v2", "top_k": 2}).json()
    assert answer["moments"][0]["title"] == "my clip.mp4"
    assert [one["score"] for one in answer["moments"]] == pytest.approx([one["score"] for one in expected["moments"]], abs=1e-3)
    assert api.client.get("/videos").json()["total"] == 4
    assert not list((api.server.home / "state" / "incoming").iterdir())


def test_an_upload_is_indexed_searched_played_shown_and_deleted(api: Any, clip: bytes) -> None:
    before = api.client.get("/version").json()
    answer = api.upload(clip, "holiday.mov", title="  My\tholiday \n")
    assert answer.status_code == 202
    video_id = answer.json()["video_id"]
    row = api.wait_until_indexed(video_id)
    assert (row["state"], row["title"], row["origin"], row["playable"]) == ("ready", "My holiday", "upload", "yes")
    found = api.client.post("/search", json={"query": QUERY, "top_k": 20, "video_ids": [video_id]}).json()
    assert {one["title"] for one in found["moments"]} == {"My holiday"}
    assert found["versions"]["index"] != before["versions"]["index"]
    assert api.client.get("/version").json()["num_videos"] == before["num_videos"] + 1
    assert api.client.get(f"/media/{video_id}").content == clip
    assert api.client.get("/videos").json()["videos"][0]["video_id"] == video_id
    picture = Image.open(io.BytesIO(api.client.get(f"/thumbnails/{video_id}/{row['num_thumbnails'] - 1}.jpg").content))
    assert picture.size == (64, 48)
    assert api.client.delete(f"/videos/{video_id}").status_code == 204
    assert api.client.get(f"/videos/{video_id}").status_code == 404
    assert api.client.get(f"/media/{video_id}").status_code == 404
    assert api.client.post("/search", json={"query": QUERY, "video_ids": [video_id]}).status_code == 404
    assert api.client.get("/version").json() == before


def test_a_content_is_kept_once(api: Any, clip: bytes) -> None:
    first = api.upload(clip, "one.mp4").json()
    again = api.upload(clip, "two.mp4")
    assert (again.status_code, again.json()["title"]) == (202, "one.mp4")
    assert api.client.get("/videos").json()["total"] == 5
    api.wait_until_indexed(first["video_id"])
    api.client.delete(f"/videos/{first['video_id']}").raise_for_status()


def test_a_broken_file_with_the_start_of_a_video_is_refused_and_not_kept(api: Any, clip: bytes) -> None:
    video_id = api.upload(clip[:3000] + clip[-40:]).json()["video_id"]
    row = api.wait_until_indexed(video_id)
    assert row["state"] == "failed"
    assert "cannot be decoded" in row["reason"]
    assert not (api.server.home / "state" / "uploads" / video_id / "original").exists()
    assert api.client.delete(f"/videos/{video_id}").status_code == 204


def test_videos_are_listed_in_parts_and_by_name(api: Any) -> None:
    rows = api.client.get("/videos", params={"offset": 1, "limit": 2}).json()
    assert [row["video_id"] for row in rows["videos"]] == ["v1", "v2"]
    assert (rows["total"], rows["offset"], rows["limit"]) == (4, 1, 2)
    assert [row["video_id"] for row in api.client.get("/videos", params={"search": "V3"}).json()["videos"]] == ["v3"]
    assert api.client.get("/videos/v0").json()["state"] == "ready"


def test_a_range_of_a_video_is_partial_content(api: Any, small_project: Any) -> None:
    answer = api.client.get("/media/v1", headers={"Range": "bytes=100-199"})
    assert (answer.status_code, answer.headers["content-type"]) == (206, "video/mp4")
    assert answer.content == (small_project.raw / "videos" / "v1.mp4").read_bytes()[100:200]
    assert api.client.get("/media/v1", headers={"Range": "bytes=99999999-"}).status_code == 416


def test_feedback_is_on_disk_when_it_is_acknowledged(api: Any) -> None:
    answer = api.client.post("/search", json={"query": QUERY}).json()
    moment = answer["moments"][0]
    given = {
        "answer_id": answer["answer_id"],
        "query": QUERY,
        "video_id": moment["video_id"],
        "start_s": moment["start_s"],
        "end_s": moment["end_s"],
        "verdict": "corrected",
        "corrected_start_s": 0.5,
        "corrected_end_s": 2.5,
    }
    receipt = api.client.post("/feedback", json=given)
    assert receipt.status_code == 201
    rows = [row for _, row in read_jsonl(api.server.home / "state" / "feedback.jsonl")]
    (kept,) = [row for row in rows if row["feedback_id"] == receipt.json()["feedback_id"]]
    assert {name: kept[name] for name in given} == given
    assert kept["versions"] == answer["versions"]


def test_feedback_must_make_sense(api: Any) -> None:
    given = {"query": QUERY, "video_id": "v1", "start_s": 1.0, "end_s": 2.0, "verdict": "right"}
    for changes, status, reason in (
        ({"end_s": 0.5}, 400, "start_s = 1.0 must lie before end_s = 0.5"),
        ({"verdict": "corrected"}, 400, "the verdict corrected needs corrected_start_s"),
        ({"verdict": "maybe"}, 400, "got 'maybe'"),
        ({"video_id": "nowhere"}, 404, "'nowhere'"),
        ({"answer_id": "../x"}, 400, "answer_id"),
    ):
        answer = api.client.post("/feedback", json=given | changes)
        assert (answer.status_code, reason in answer.json()["error"]) == (status, True), answer.text


def test_metrics_count_by_endpoint_and_describe_the_collection(api: Any) -> None:
    api.client.get("/media/v1")
    api.client.get("/made/up/by/a/client")
    text = api.client.get("/metrics").text
    assert 'cuepoint_requests_total{endpoint="/media/{video_id}",method="GET",status="200"}' in text
    assert 'cuepoint_request_seconds_bucket{endpoint="/search",le="0.1"}' in text
    assert "cuepoint_videos 4.0" in text
    assert 'endpoint="other"' in text
    assert "made/up" not in text


def test_the_page_of_bentoml_is_not_served(api: Any) -> None:
    for path in ("/docs.json", "/static_content/index.html"):
        assert api.client.get(path).status_code == 404


def test_a_wrong_method_names_the_right_ones(api: Any) -> None:
    answer = api.client.put("/search")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_every_answer_carries_the_headers_that_keep_a_browser_safe(api: Any) -> None:
    for answer in (api.client.get("/livez"), api.client.get("/nowhere"), api.client.get("/media/v1")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_no_process_of_the_service_has_loaded_torch(api: Any) -> None:
    for number in (api.server.process.pid, *api.server.find_children()):
        assert "libtorch" not in Path(f"/proc/{number}/maps").read_text()


def test_every_answered_sentence_is_in_the_traffic_log(api: Any) -> None:
    queries = ["the logged circle moves", "a logged square", "a logged star", "a logged heart"]
    one = api.client.post("/search", json={"query": queries[0]}).raise_for_status().json()
    batch = api.client.post("/search/batch", json={"queries": queries[1:3], "video_ids": ["v2"]}).raise_for_status().json()
    localized = api.client.post("/localize", json={"query": queries[3], "video_id": "v2"}).raise_for_status().json()
    given = [one, *batch["answers"], localized]
    folder = api.server.home / "state" / "traffic"
    rows: dict[str, Any] = {}

    def has_all() -> bool:
        rows.update({row.query: row for row in read_rows(folder)})
        return set(queries) <= set(rows)

    wait_until(has_all)
    logged = [rows[query] for query in queries]
    assert [row.answer_id for row in logged] == [answer["answer_id"] for answer in given]
    assert [row.endpoint for row in logged] == ["search", "batch", "batch", "localize"]
    assert [row.is_limited for row in logged] == [False, True, True, True]
    assert [str(row.verdict) for row in logged] == [answer["verdict"] for answer in given]
    assert "cuepoint_traffic_rows_lost 0.0" in api.client.get("/metrics").text

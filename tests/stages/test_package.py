"""Stage `package`: the bento is reproducible, holds no training tool, and answers from another home in a real process."""

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from corpus.files import read_json
from loopback import SERVICE, START_LIMIT_S, STOP_LIMIT_S, Server, is_running, start_server, stop_server, wait_until
from pipeline.packaging.bento import build_bento, read_packages
from stages.package import PackageInputs, package

SOURCE = Path(__file__).resolve().parents[2]


def inputs_of(project: Any) -> PackageInputs:
    return PackageInputs(SOURCE, project.bundle, project.index, project.raw, project.corpus)


@pytest.fixture(scope="module")
def bento_dir(small_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bento")
    package(inputs_of(small_project), thumbnails_per_video=2, bento_dir=folder)
    return folder


@pytest.fixture(scope="module")
def server(small_project: Any, bento_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "import", str(bento_dir / "cuepoint.bento")]
    subprocess.run(command, env=environment, cwd=home, check=True, capture_output=True)
    started = start_server([read_json(bento_dir / "info.json")["tag"]], home, CUEPOINT_MEDIA_ROOT=str(small_project.raw))
    try:
        started.wait_until_ready()
        yield started
    finally:
        stop_server(started)


@pytest.mark.slow
def test_packaging_twice_gives_the_same_bytes(small_project: Any, bento_dir: Path, tmp_path: Path) -> None:
    package(inputs_of(small_project), thumbnails_per_video=2, bento_dir=tmp_path)
    for name in ("cuepoint.bento", "info.json"):
        assert (tmp_path / name).read_bytes() == (bento_dir / name).read_bytes()


@pytest.mark.slow
def test_the_bento_is_named_by_the_bundle_and_describes_itself(small_project: Any, bento_dir: Path) -> None:
    info = read_json(bento_dir / "info.json")
    bundle_version = read_json(small_project.bundle / "manifest.json")["version"]
    assert info["tag"] == f"cuepoint:{bundle_version[:12]}"
    assert info["num_thumbnails"] == 8
    assert info["size_bytes"] == (bento_dir / "cuepoint.bento").stat().st_size


@pytest.mark.slow
def test_the_bento_holds_neither_training_code_nor_paths_of_this_machine(bento_dir: Path) -> None:
    with tarfile.open(bento_dir / "cuepoint.bento") as archive:
        names = archive.getnames()
        texts = [archive.extractfile(name) for name in names if name.endswith((".yaml", ".txt", ".json", ".md"))]
        content = b"".join(file.read() for file in texts if file is not None)
    assert {name.split("/")[1] for name in names if name.startswith("src/")} == {
        "corpus",
        "search",
        "serving",
        "data",
        "bentofile.yaml",
    }
    facts = {Path(name).parts[2].removesuffix(".py") for name in names if name.startswith("src/corpus/")}
    assert facts >= {"media", "text", "moments", "windows"}
    assert not facts & {"readers", "shapes", "feature_files", "annotations", "records", "splits"}
    assert str(SOURCE).encode() not in content
    assert b"torch" not in content


@pytest.mark.slow
def test_the_requirements_that_an_image_installs_list_no_training_tool(bento_dir: Path) -> None:
    with tarfile.open(bento_dir / "cuepoint.bento") as archive:
        file = archive.extractfile("env/python/requirements.txt")
        assert file is not None
        names = {line.partition("==")[0].lower() for line in file.read().decode().splitlines()}
    assert names >= {"bentoml", "fastapi", "faiss-cpu", "onnxruntime", "av"}
    assert not names & {"torch", "pytorch-lightning", "dvc", "mlflow", "prefect", "great-expectations", "pandas", "transformers"}


@pytest.mark.slow
def test_the_packages_of_the_bento_are_pinned(bento_dir: Path) -> None:
    with tarfile.open(bento_dir / "cuepoint.bento") as archive:
        file = archive.extractfile("src/bentofile.yaml")
        assert file is not None
        packages = yaml.safe_load(file)["python"]["packages"]
    assert packages == read_packages(SOURCE / "pyproject.toml")
    assert all("==" in line for line in packages)


@pytest.mark.slow
def test_the_answers_are_those_of_the_predictor(server: Server, small_project: Any) -> None:
    from search.answers import SearchQuery
    from search.predictor import MomentPredictor

    (expected,) = MomentPredictor.load(small_project.bundle, small_project.index).search(SearchQuery("a square grows", 5))
    found = httpx.post(f"{server.url}/search", json={"query": "a square grows", "top_k": 5}).json()["moments"]
    assert [(one["video_id"], one["start_s"], one["end_s"]) for one in found] == [one[:3] for one in expected.moments]
    assert [one["score"] for one in found] == pytest.approx([one.score for one in expected.moments], abs=1e-6)


@pytest.mark.slow
def test_health_endpoints_answer(server: Server) -> None:
    assert [httpx.get(f"{server.url}/{name}").status_code for name in ("livez", "readyz", "healthz", "metrics")] == [200] * 4


@pytest.mark.slow
def test_a_range_of_a_video_is_partial_content(server: Server, small_project: Any) -> None:
    answer = httpx.get(f"{server.url}/media/v1", headers={"Range": "bytes=100-199"})
    assert answer.status_code == 206
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.content == (small_project.raw / "videos" / "v1.mp4").read_bytes()[100:200]


@pytest.mark.slow
def test_sentences_to_try_come_with_the_bento(server: Server) -> None:
    assert httpx.get(f"{server.url}/examples").json() == {
        "examples": ["a square grows and shrinks", "then the green circle leaves"]
    }


@pytest.mark.slow
def test_thumbnails_come_from_the_bento(server: Server) -> None:
    answer = httpx.get(f"{server.url}/thumbnails/v2/1.jpg")
    assert answer.status_code == 200
    assert answer.content.startswith(b"\xff\xd8")
    assert httpx.get(f"{server.url}/thumbnails/v2/2.jpg").json() == {"error": "video 'v2' has no thumbnail 2; it has 2"}


@pytest.mark.slow
def test_no_process_of_the_service_has_loaded_torch(server: Server) -> None:
    workers = server.find_children()
    assert workers
    for number in (server.process.pid, *workers):
        maps = Path(f"/proc/{number}/maps").read_text()
        assert "libtorch" not in maps
    assert any("onnxruntime" in Path(f"/proc/{number}/maps").read_text() for number in workers)


@pytest.mark.slow
def test_without_the_videos_the_reason_names_the_variable_and_sigterm_ends_the_service(
    small_project: Any, bento_dir: Path, tmp_path: Path
) -> None:
    started = start_server(
        SERVICE,
        tmp_path,
        CUEPOINT_BUNDLE=str(small_project.bundle),
        CUEPOINT_INDEX=str(small_project.index),
        CUEPOINT_MEDIA_ROOT=str(tmp_path / "nowhere"),
    )
    try:
        started.wait_until_ready()
        answer = httpx.get(f"{started.url}/media/v1")
        assert answer.status_code == 404
        assert "set CUEPOINT_MEDIA_ROOT" in answer.json()["error"]
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(timeout=STOP_LIMIT_S) == 0
    finally:
        stop_server(started)


@pytest.mark.slow
def test_the_workers_end_when_their_server_is_killed(small_project: Any, tmp_path: Path) -> None:
    started = start_server(
        SERVICE,
        tmp_path,
        CUEPOINT_BUNDLE=str(small_project.bundle),
        CUEPOINT_INDEX=str(small_project.index),
    )
    try:
        started.wait_until_ready()
        workers = started.find_children()
        started.process.kill()
        assert workers
        assert wait_until(lambda: not any(map(is_running, workers)), STOP_LIMIT_S)
    finally:
        stop_server(started)


@pytest.mark.slow
def test_a_service_without_a_bundle_logs_the_reason_and_never_becomes_ready(small_project: Any, tmp_path: Path) -> None:
    started = start_server(SERVICE, tmp_path, CUEPOINT_BUNDLE=str(tmp_path / "nowhere"))
    try:
        wait_until(lambda: "the service cannot answer: " in (tmp_path / "serve.log").read_text(), START_LIMIT_S)
        assert "no finished bundle; run: make repro" in (tmp_path / "serve.log").read_text()
        assert httpx.get(f"{started.url}/readyz").status_code == 503
        assert httpx.post(f"{started.url}/search", json={"query": "a circle"}).status_code == 503
    finally:
        stop_server(started)


def test_the_error_of_a_failed_build_has_its_output(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "bentofile.yaml").write_text("service: nothing:Nothing\nname: cuepoint\n")
    with pytest.raises(ValueError, match="bentoml build failed; its last output:(.|\n)*nothing"):
        build_bento(context, home=tmp_path / "home", bento_version="1")

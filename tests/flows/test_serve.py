"""Which bento is served: the champion's, the working tree's where there is none, and never a damaged one."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from corpus.files import read_json, sha256_file, write_bytes, write_json
from flows import serve
from flows.dvc_process import build_environment
from flows.serve import ChosenBento, choose_bento, unpack_bento
from loopback import find_free_port, is_ready, wait_until
from stages.support.tracking import DIGEST_TAG, RegisteredVersion

SENTENCE = "the red circle moves right"


@pytest.fixture
def working_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_bytes(Path("data/bento/cuepoint.bento"), b"working tree")
    return tmp_path


def crown(monkeypatch: pytest.MonkeyPatch, content: bytes, *, digest: str) -> list[str]:
    """Let the registry hold a champion with the digest of other bytes or its own; return the versions that are fetched."""
    fetched: list[str] = []

    def fetch(version: str, folder: Path) -> Path:
        fetched.append(version)
        write_bytes(folder / "bundle" / "cuepoint.bento", content)
        return folder / "bundle"

    monkeypatch.setattr(serve, "read_champion", lambda: RegisteredVersion("7", {}, {DIGEST_TAG: digest}))
    monkeypatch.setattr(serve, "fetch_version", fetch)
    return fetched


def test_without_a_champion_the_working_tree_is_served(working_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "read_champion", lambda: None)
    expected = ChosenBento(Path("data/bento/cuepoint.bento"), "the working tree (there is no champion yet)")
    assert choose_bento(working_tree) == expected


def test_without_any_bento_the_command_that_makes_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve, "read_champion", lambda: None)
    with pytest.raises(ValueError, match=r"^there is no champion yet and no data/bento/cuepoint\.bento; run: make repro$"):
        choose_bento(tmp_path)


def test_the_champion_is_fetched_once(working_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(working_tree / "champion", b"champion")
    fetched = crown(monkeypatch, b"champion", digest=sha256_file(working_tree / "champion"))
    chosen = [choose_bento(working_tree / ".cache") for _ in range(2)]
    assert chosen[0] == chosen[1]
    assert chosen[0].origin == "the champion, version 7"
    assert chosen[0].path.read_bytes() == b"champion"
    assert fetched == ["7"]


def test_a_champion_whose_bytes_changed_is_refused(working_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crown(monkeypatch, b"champion", digest="0" * 64)
    with pytest.raises(ValueError, match=r"cuepoint\.bento is damaged: sha256 [0-9a-f]{64}, expected 0{64}; delete "):
        choose_bento(working_tree / ".cache")


@pytest.mark.slow
def test_what_is_no_bento_is_refused_and_leaves_nothing(working_tree: Path) -> None:
    with pytest.raises(ValueError, match=r"^data/bento/cuepoint\.bento cannot be imported: "):
        unpack_bento(Path("data/bento/cuepoint.bento"), working_tree / ".cache")
    assert not [path for path in (working_tree / ".cache" / "bentoml").iterdir() if path.suffix != ".part"]


@pytest.mark.slow
def test_the_bento_of_a_pipeline_answers_and_plays_on_loopback(tiny_pipeline: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(tiny_pipeline, checkout, ignore=shutil.ignore_patterns(".cache", ".git", "cache"))
    with start(checkout, tmp_path / "log") as url:
        asked = {"query": SENTENCE, "top_k": 3, "min_confidence": 0}
        answer = httpx.post(f"{url}/search", json=asked, timeout=30).raise_for_status().json()
        assert len(answer["moments"]) == 3
        assert httpx.get(f"{url}/thumbnails/{answer['moments'][0]['video_id']}/0.jpg").status_code == 200
        assert len(httpx.get(f"{url}/examples").json()["examples"]) >= 6
        assert (checkout / "data" / "service" / "feedback.jsonl").is_file()
        assert (tmp_path / "log").read_text().startswith("serving the working tree (there is no champion yet): cuepoint:")


@pytest.mark.slow
def test_videos_without_annotations_are_indexed_searched_and_played(tiny_pipeline: Path, tmp_path: Path, run_in: Any) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(tiny_pipeline, checkout, ignore=shutil.ignore_patterns(".cache", ".git", "cache"))
    for number in (0, 1):
        source = checkout / "data" / "raw" / "shapes" / "videos" / f"test_000{number}.mp4"
        write_bytes(tmp_path / "my videos" / f"day {number}.mp4", source.read_bytes())
    run_in(checkout, sys.executable, "-m", "serving", "index", str(tmp_path / "my videos"))
    with start(checkout, tmp_path / "log", "--index", str(tmp_path / "my videos-index")) as url:
        asked = {"query": SENTENCE, "top_k": 9, "min_confidence": 0}
        moments = httpx.post(f"{url}/search", json=asked, timeout=30).raise_for_status().json()["moments"]
        assert {moment["video_id"] for moment in moments} == {"day 0.mp4", "day 1.mp4"}
        played = httpx.get(f"{url}/media/{moments[0]['video_id']}", timeout=30).raise_for_status()
        assert played.content == (tmp_path / "my videos" / moments[0]["video_id"]).read_bytes()


@contextmanager
def start(checkout: Path, log_path: Path, *options: str) -> Iterator[str]:
    """Serve from a checkout and return the address when it is ready; the server ends with the block."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "flows.serve", "--port", str(port), *options]
    with log_path.open("wb") as log:
        server = subprocess.Popen(command, cwd=checkout, env=build_environment(), stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: is_ready(url), 120, what=log_path.read_text)
        yield url
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def home(small_project: Any, tmp_path: Path) -> Path:
    """A home with one bento, of which only the data are there."""
    folder = tmp_path / "home" / "bentos" / "cuepoint" / "1"
    for name in ("bundle", "index"):
        shutil.copytree(getattr(small_project, name), folder / "src" / "data" / name)
    (folder / "bento.yaml").touch()
    return tmp_path / "home"


@pytest.mark.slow
def test_the_videos_of_the_bentos_corpus_are_served(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUEPOINT_MEDIA_ROOT", raising=False)
    environment = serve.build_environment(home, None)
    assert environment["CUEPOINT_MEDIA_ROOT"] == str(Path("data/raw/small").resolve())
    assert environment["BENTOML_HOME"] == str(home)


def test_the_index_of_a_folder_takes_the_place_of_the_bentos(
    home: Path, small_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUEPOINT_MEDIA_ROOT", raising=False)
    monkeypatch.chdir(small_project.root)
    environment = serve.build_environment(home, Path("index"))
    assert environment["CUEPOINT_INDEX"] == str(small_project.index)
    assert "CUEPOINT_MEDIA_ROOT" not in environment  # the index names its folder


def test_an_index_of_another_bundle_names_the_command_that_makes_it_fit(home: Path, small_project: Any, tmp_path: Path) -> None:
    index_dir = Path(shutil.copytree(small_project.index, tmp_path / "my index"))
    content = read_json(index_dir / "index.json") | {"bundle_version": "other", "media_dir": "/my videos"}
    write_json(index_dir / "index.json", content)
    with pytest.raises(ValueError, match="my index was made by another bundle than the one that is served; run: ") as caught:
        serve.build_environment(home, index_dir)
    bundle_dir = serve.find_bento(home) / "src" / "data" / "bundle"
    command = f"python -m serving index '/my videos' --output '{index_dir}' --bundle {bundle_dir}"
    assert str(caught.value).endswith(command)

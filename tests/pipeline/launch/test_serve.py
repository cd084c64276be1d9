"""The served bento: the champion's, the working tree's without a champion, and never a damaged bento."""

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from corpus.files import read_json, sha256_file, write_bytes, write_json
from loopback import WAIT_LIMIT_S, find_free_port, is_ready, wait_until
from pipeline.dvc.process import build_environment
from pipeline.launch import serve
from pipeline.launch.serve import ChosenBento, choose_bento, unpack_bento
from pipeline.tracking.registry import ServedVersion

SENTENCE = "the red circle moves right"


@pytest.fixture
def working_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_bytes(Path("data/bento/cuepoint.bento"), b"working tree")
    return tmp_path


def crown(monkeypatch: pytest.MonkeyPatch, content: bytes, *, digest: str) -> list[str]:
    """Put a champion with a digest into the registry; return the list of fetched versions."""
    fetched: list[str] = []

    def fetch(version: str, folder: Path) -> Path:
        fetched.append(version)
        write_bytes(folder / "bundle" / "cuepoint.bento", content)
        return folder / "bundle"

    monkeypatch.setattr(serve, "find_champion", lambda: ServedVersion("7", digest))
    monkeypatch.setattr(serve, "fetch_version", fetch)
    return fetched


def test_without_a_champion_the_working_tree_is_served(working_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_champion", lambda: None)
    path = Path("data/bento/cuepoint.bento")
    expected = ChosenBento(path, sha256_file(path), "the working tree (there is no champion yet)")
    assert choose_bento(working_tree) == expected


def test_without_any_bento_the_command_that_makes_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve, "find_champion", lambda: None)
    with pytest.raises(ValueError, match=r"no champion yet, and data/bento/cuepoint\.bento is missing; run: make repro$"):
        choose_bento(tmp_path)


def test_the_champion_is_fetched_once(working_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(working_tree / "champion", b"champion")
    fetched = crown(monkeypatch, b"champion", digest=sha256_file(working_tree / "champion"))
    chosen = [choose_bento(working_tree / ".cache") for _ in range(2)]
    assert chosen[0] == chosen[1]
    assert chosen[0].origin == "the champion, version 7"
    assert chosen[0].champion == ServedVersion("7", sha256_file(working_tree / "champion"))
    assert chosen[0].path.read_bytes() == b"champion"
    assert fetched == ["7"]


def test_a_champion_whose_bytes_changed_is_refused(working_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crown(monkeypatch, b"champion", digest="0" * 64)
    with pytest.raises(ValueError, match=r"cuepoint\.bento is damaged: sha256 [0-9a-f]{64}, expected 0{64}; delete "):
        choose_bento(working_tree / ".cache")


@pytest.mark.parametrize("name", ["CUEPOINT_CHAMPION_EVERY_S", "CUEPOINT_READY_LIMIT_S"])
@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf"])
def test_times_that_are_no_seconds_are_refused(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=rf"^{name} = '{text}': it must be a number of seconds above 0$"):
        serve.main([])


def write_archive(path: Path, **files: str) -> Path:
    """Write an archive like `package`, with files of the given contents; `__` stands for a dot."""
    with tarfile.open(path, "w:xz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return path


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


NO_BENTOS: dict[str, Callable[[Path], Path]] = {
    "other bytes": lambda path: path,
    "an archive of something else": lambda path: write_archive(path, readme="no bento"),
    "a bento without a name": lambda path: write_archive(path, bento__yaml="version: '1'"),
    "half an archive": lambda path: cut(write_archive(path, bento__yaml="{name: cuepoint, version: '1'}")),
    "a file outside": lambda path: write_archive(path, **{"../out": "x", "bento__yaml": "{name: a, version: '1'}"}),
}


@pytest.mark.parametrize("what", NO_BENTOS)
def test_other_archives_are_refused_and_leave_nothing(what: str, working_tree: Path) -> None:
    path = NO_BENTOS[what](Path("data/bento/cuepoint.bento"))
    with pytest.raises(ValueError, match=r"^data/bento/cuepoint\.bento cannot be unpacked: it is not a bento .*--force package$"):
        unpack_bento(path, working_tree / ".cache", digest=sha256_file(path))
    assert list((working_tree / ".cache" / "bentoml").glob("*")) == []


def test_a_bento_is_unpacked_once_to_the_path_that_bentoml_expects(
    working_tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"bento__yaml": "{name: cuepoint, version: abc}", "src/code__py": "x = 1"}
    path = write_archive(Path("data/bento/cuepoint.bento"), **content)
    homes = [unpack_bento(path, working_tree / ".cache", digest=sha256_file(path)) for _ in range(2)]
    assert homes[0] == homes[1]
    folder = serve.find_bento(homes[0])
    assert folder == homes[0] / "bentos" / "cuepoint" / "abc"
    assert (folder / "src" / "code.py").read_text() == "x = 1"
    assert capsys.readouterr().out.splitlines() == ["unpacking data/bento/cuepoint.bento, 0.0 MB, once"]


@pytest.mark.slow
def test_the_bento_of_a_pipeline_answers_and_plays_on_loopback(tiny_pipeline: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(tiny_pipeline, checkout, ignore=shutil.ignore_patterns(".cache", ".git", "cache"))
    with start(checkout, tmp_path / "log") as url:
        asked = {"query": SENTENCE, "top_k": 3, "min_confidence": 0}
        answer = httpx.post(f"{url}/search", json=asked, timeout=WAIT_LIMIT_S).raise_for_status().json()
        assert len(answer["moments"]) == 3
        assert httpx.get(f"{url}/thumbnails/{answer['moments'][0]['video_id']}/0.jpg").status_code == 200
        assert len(httpx.get(f"{url}/examples").json()["examples"]) >= 6
        assert (checkout / "data" / "service" / "feedback.jsonl").is_file()
        told = (tmp_path / "log").read_text()
        steps = ["looking for the champion", "unpacking data/bento/", "serving the working tree (there is no champion yet): "]
        steps += ["starting the server", "verifying the models, ", "restoring uploads", f"ready: open {url}"]
        places = [told.find(step) for step in steps]
        assert places[0] == 0, told
        assert places == sorted(places), told


@pytest.mark.slow
def test_videos_without_annotations_are_indexed_searched_and_played(tiny_pipeline: Path, tmp_path: Path, run_in: Any) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(tiny_pipeline, checkout, ignore=shutil.ignore_patterns(".cache", ".git", "cache"))
    for number in (0, 1):
        source = checkout / "data" / "raw" / "shapes" / "videos" / f"test_000{number}.mp4"
        write_bytes(tmp_path / "my videos" / f"day {number}.mp4", source.read_bytes())
    run_in(checkout, sys.executable, "-m", "cuepoint", "index", str(tmp_path / "my videos"))
    with start(checkout, tmp_path / "log", "--index", str(tmp_path / "my videos-index")) as url:
        asked = {"query": SENTENCE, "top_k": 9, "min_confidence": 0}
        moments = httpx.post(f"{url}/search", json=asked, timeout=WAIT_LIMIT_S).raise_for_status().json()["moments"]
        assert {moment["video_id"] for moment in moments} == {"day 0.mp4", "day 1.mp4"}
        played = httpx.get(f"{url}/media/{moments[0]['video_id']}", timeout=WAIT_LIMIT_S).raise_for_status()
        assert played.content == (tmp_path / "my videos" / moments[0]["video_id"]).read_bytes()


@contextmanager
def start(checkout: Path, log_path: Path, *options: str) -> Iterator[str]:
    """Serve from a checkout and yield the address when it is ready; the server ends with the block."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "cuepoint", "serve", "--port", str(port), *options]
    with log_path.open("wb") as log:
        server = subprocess.Popen(command, cwd=checkout, env=build_environment(), stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: is_ready(url), 120, what=log_path.read_text)
        yield url
    finally:
        server.terminate()
        server.wait(WAIT_LIMIT_S)


@pytest.fixture
def home(small_project: Any, tmp_path: Path) -> Path:
    """Build a home with one bento that contains only data."""
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


def test_the_index_of_a_folder_replaces_the_bentos(home: Path, small_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUEPOINT_MEDIA_ROOT", raising=False)
    monkeypatch.chdir(small_project.root)
    environment = serve.build_environment(home, Path("index"))
    assert environment["CUEPOINT_INDEX"] == str(small_project.index)
    assert "CUEPOINT_MEDIA_ROOT" not in environment  # the index names its folder


def test_an_index_of_another_bundle_names_the_command_that_rebuilds_it(home: Path, small_project: Any, tmp_path: Path) -> None:
    index_dir = Path(shutil.copytree(small_project.index, tmp_path / "my index"))
    content = read_json(index_dir / "index.json") | {"bundle_version": "other", "media_dir": "/my videos"}
    write_json(index_dir / "index.json", content)
    with pytest.raises(ValueError, match="my index: it was made by another bundle; run: ") as caught:
        serve.build_environment(home, index_dir)
    bundle_dir = serve.find_bento(home) / "src" / "data" / "bundle"
    command = f"cuepoint index '/my videos' --output '{index_dir}' --bundle {bundle_dir}"
    assert str(caught.value).endswith(command)

"""The examples of docs/api.md run, its commands and its client; the table of docs/service.md names every variable."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.launch import serve
from serving.startup import locations, settings

PAGES = Path(__file__).resolve().parents[3] / "docs"
API = (PAGES / "api.md").read_text(encoding="utf-8")


def find_block(language: str, start: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", API, re.DOTALL)
    (block,) = [block for block in blocks if block.startswith(start)]
    return str(block)


@pytest.mark.slow
def test_every_command_of_the_docs_succeeds(api: Any, clip: bytes, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip)
    first, _, commands = find_block("bash", "URL=").partition("\n")
    assert first == "URL=http://127.0.0.1:3000 VIDEO=test_0000 CLIP=clip.mp4"
    script = f"set -e\nURL={api.server.url} VIDEO=v1 CLIP=clip.mp4\n{commands}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (upload,) = api.client.get("/videos", params={"search": "My clip"}).json()["videos"]
    api.client.delete(f"/videos/{upload['video_id']}").raise_for_status()


@pytest.mark.slow
def test_the_client_of_the_docs_searches_and_uploads(api: Any, clip: bytes, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip)
    names: dict[str, Any] = {"__name__": "client"}
    exec(compile(find_block("python", "from dataclasses"), "client", "exec"), names)
    client = names["Cuepoint"](api.server.url)
    found = client.search("the red circle moves", top_k=2)
    assert [type(moment) for moment in found] == [names["Moment"]] * 2
    video_id = client.upload(tmp_path / "clip.mp4")
    assert api.wait_until_indexed(video_id)["state"] == "ready"
    with pytest.raises(ValueError, match="^400: top_k: .*, got 0"):
        client.search("the red circle moves", top_k=0)
    api.client.delete(f"/videos/{video_id}").raise_for_status()
    client._client.close()


@pytest.mark.slow
def test_the_client_of_the_docs_is_typed(tmp_path: Path) -> None:
    path = tmp_path / "client.py"
    path.write_text(find_block("python", "from dataclasses"))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_table_of_the_environment_names_every_variable() -> None:
    service = Path(str(locations.__file__)).parents[1].joinpath("service.py").read_text(encoding="utf-8")
    read = set(re.findall(r"CUEPOINT_[A-Z_]+", service + "".join(map(inspect.getsource, (settings, locations)))))
    read |= set(re.findall(r'_read_seconds\("(\w+)"', inspect.getsource(serve)))  # of the launcher
    table = (PAGES / "service.md").read_text(encoding="utf-8").partition("## Environment")[2].partition("## What is safe")[0]
    assert read == set(re.findall(r"`(CUEPOINT_[A-Z_]+)`", table))

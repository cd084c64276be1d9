"""Files of a hub, from a local server with its protocol, also when a transfer breaks in the middle."""

import hashlib
import json
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from corpus.files import read_json, sha256_file
from pipeline.published.hub import fetch_repository, list_files
from pipeline.published.lock import ModelLock
from pipeline.published.presets import HubPair

pytestmark = pytest.mark.slow  # the registry of encoders, which knows licences, loads torch
REPOSITORY, COMMIT = "someone/tiny-clip", "0123456789abcdef" * 2 + "01234567"
WEIGHTS = bytes(range(256)) * 4096 * 24  # huggingface_hub writes in parts of 10 MiB
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "preprocessor_config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "README.md": b"---\nlicense: mit\n---\n",
}


class Hub:
    """Files and requests of the server."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.ranges: list[str] = []  # requested files
        self.break_after: int | None = None  # bytes of the weights, once
        self.endpoint = ""


def make_handler(hub: Hub) -> type[BaseHTTPRequestHandler]:  # noqa: C901 # a small server
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.startswith(f"/api/models/{REPOSITORY}/tree/"):
                rows = [
                    {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for name, content in hub.files.items()
                ]
                self.send(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})
            elif self.path.startswith("/api/models/"):
                content = json.dumps({"id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "siblings": []}).encode()
                self.send(200, content, {"Content-Type": "application/json"})
            else:
                self.send_file(self.path.partition(f"/resolve/{COMMIT}/")[2], has_body=True)

        def do_HEAD(self) -> None:
            self.send_file(self.path.partition(f"/resolve/{COMMIT}/")[2], has_body=False)

        def send_file(self, name: str, *, has_body: bool) -> None:
            content = hub.files.get(name)
            if content is None:
                self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            asked, first = self.headers.get("Range"), 0
            if asked and has_body and asked != "bytes=0-0":
                hub.ranges.append(asked)
                first = int(asked.removeprefix("bytes=").partition("-")[0])
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self.send(206 if first else 200, content[first:], headers, has_body=has_body)

        def send(self, status: int, content: bytes, headers: dict[str, str], *, has_body: bool = True) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if not has_body:
                return
            if hub.break_after is not None and len(content) == len(WEIGHTS):
                self.wfile.write(content[: hub.break_after])
                hub.break_after, self.close_connection = None, True
                return
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 120)  # a busy machine takes long for 10 MB
    found = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(found))
    Thread(target=server.serve_forever, daemon=True).start()
    found.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def preset(tmp_path: Path) -> HubPair:
    return HubPair(name="clip", source=str(tmp_path / "clip"), repository=REPOSITORY, licence="mit")


def fetch(preset: HubPair, hub: Hub, lock: Path) -> Path:
    return fetch_repository("clip", preset, lock=ModelLock(lock), say=lambda _: None, endpoint=hub.endpoint)


def test_the_files_that_the_component_reads_are_fetched_and_recorded(hub: Hub, preset: HubPair, tmp_path: Path) -> None:
    folder = fetch(preset, hub, tmp_path / "lock.json")
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert found == {name: content for name, content in FILES.items() if name != "pytorch_model.bin"}
    recorded = read_json(tmp_path / "lock.json")["clip"]
    assert recorded == {name: sha256_file(folder / name) for name in found}


def test_other_bytes_under_the_same_name_are_refused(hub: Hub, preset: HubPair, tmp_path: Path) -> None:
    fetch(preset, hub, tmp_path / "lock.json")
    hub.files["model.safetensors"] = WEIGHTS[::-1]
    other = preset.model_copy(update={"source": str(tmp_path / "again")})
    with pytest.raises(ValueError, match=r"again/model\.safetensors has the sha256"):
        fetch(other, hub, tmp_path / "lock.json")


def test_a_transfer_that_broke_goes_on_in_the_middle(hub: Hub, preset: HubPair, tmp_path: Path) -> None:
    hub.break_after = 15_000_000
    folder = fetch(preset, hub, tmp_path / "lock.json")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert any(int(one.removeprefix("bytes=").partition("-")[0]) > 0 for one in hub.ranges)


def test_a_licence_for_research_alone_needs_a_consent(hub: Hub, preset: HubPair, tmp_path: Path) -> None:
    research = preset.model_copy(update={"licence": "cc-by-nc-4.0"})
    with pytest.raises(ValueError, match="forbids commercial use; if your use is allowed, set accept_licence: true"):
        fetch(research, hub, tmp_path / "lock.json")
    assert not (tmp_path / "clip").exists()
    assert fetch(research.model_copy(update={"accept_licence": True}), hub, tmp_path / "lock.json").is_dir()


def test_without_the_hub_the_error_says_what_to_copy_where(hub: Hub, preset: HubPair, tmp_path: Path) -> None:
    hub.endpoint = "http://127.0.0.1:9"
    with pytest.raises(FileNotFoundError, match=r"cannot fetch someone/tiny-clip at main .*copy config\.json, .* to"):
        fetch(preset, hub, tmp_path / "lock.json")
    nowhere = preset.model_copy(update={"repository": None})
    with pytest.raises(ValueError, match="the preset clip names no repository to fetch; copy config"):
        fetch(nowhere, hub, tmp_path / "lock.json")


def test_an_onnx_pair_of_one_size_is_fetched_alone(hub: Hub, tmp_path: Path) -> None:
    sizes = {f"onnx/{size}/{name}": size.encode() for size in ("s0", "s2") for name in ("vision_model.onnx", "text_model.onnx")}
    hub.files = sizes | {"tokenizer.json": b"{}", "onnx/preprocessor_config.json": b"{}"}
    values = {"name": "onnx", "repository": REPOSITORY, "licence": "mit"}
    one = HubPair(source=str(tmp_path / "one"), folder="onnx/s0", **values)
    fetch(one, hub, tmp_path / "lock.json")
    assert set(read_json(tmp_path / "lock.json")["clip"]) == {
        "onnx/s0/vision_model.onnx",
        "onnx/s0/text_model.onnx",
        "onnx/preprocessor_config.json",
        "tokenizer.json",
    }
    named = HubPair(source=str(tmp_path / "two"), picture_file="vision_model.onnx", **values)
    assert any(name.endswith("s2/vision_model.onnx") for name in hub.files if fnmatch(name, named.files[0]))


def test_files_that_were_copied_by_hand_are_taken_without_the_hub(hub: Hub, preset: HubPair, tmp_path: Path) -> None:
    hub.endpoint = "http://127.0.0.1:9"
    write_by_hand(tmp_path / "clip", "config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors")
    assert fetch(preset.model_copy(update={"repository": None}), hub, tmp_path / "lock.json") == tmp_path / "clip"
    assert "model.safetensors" in read_json(tmp_path / "lock.json")["clip"]


def test_a_folder_that_lacks_a_file_is_not_whole(hub: Hub, preset: HubPair, tmp_path: Path) -> None:
    write_by_hand(tmp_path / "clip", "config.json", "model.safetensors")
    fetch(preset, hub, tmp_path / "lock.json")
    assert (tmp_path / "clip" / "tokenizer.json").read_bytes() == b"{}"


def test_files_that_the_hub_gave_are_taken_when_it_is_out_of_reach(hub: Hub, preset: HubPair, tmp_path: Path) -> None:
    fetch(preset, hub, tmp_path / "lock.json")
    hub.endpoint = "http://127.0.0.1:9"
    assert fetch(preset, hub, tmp_path / "lock.json") == tmp_path / "clip"
    assert (tmp_path / "clip" / "model.safetensors").read_bytes() == WEIGHTS
    (tmp_path / "clip" / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match="cannot fetch someone/tiny-clip at main .*; without the hub, copy config"):
        fetch(preset, hub, tmp_path / "lock.json")


def test_networks_in_a_sub_folder_of_the_repository_are_found(tmp_path: Path) -> None:
    onnx = HubPair(name="onnx", source=str(tmp_path), text_file="text_model_fp16.onnx")
    write_by_hand(tmp_path, "onnx/vision_model.onnx", "onnx/text_model_fp16.onnx", "onnx/text_model.onnx", "tokenizer.json")
    found = [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path, onnx.files)]
    assert found == ["onnx/text_model_fp16.onnx", "onnx/vision_model.onnx", "tokenizer.json"]


def write_by_hand(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(FILES.get(name, b"{}"))


def test_a_component_of_unknown_files_is_refused(preset: HubPair) -> None:
    with pytest.raises(ValueError, match="the files of the component 'other' are unknown"):
        preset.model_copy(update={"name": "other"}).files  # noqa: B018 # a property

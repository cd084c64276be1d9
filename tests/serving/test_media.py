"""Files are found by video id through the collection, and by nothing else."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.bundle import load_bundle
from serving.collection import load_collection
from serving.media import MediaLibrary, build_media_app, name_thumbnail_folder


class Client:
    """Asks an application without a server."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())


@pytest.fixture
def library(small_project: Any, tmp_path: Path) -> MediaLibrary:
    collection = load_collection(small_project.index, load_bundle(small_project.bundle).manifest)
    return MediaLibrary(collection, small_project.raw, tmp_path)


@pytest.fixture
def client(library: MediaLibrary) -> Client:
    app = build_media_app()
    app.state.library = library
    return Client(app)


def test_a_video_is_sent_whole_or_in_ranges(client: Client, small_project: Any) -> None:
    content = (small_project.raw / "videos" / "v0.mp4").read_bytes()
    assert client.get("/media/v0").content == content
    part = client.get("/media/v0", headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, content[5:10])


def test_a_range_beyond_the_file_is_refused(client: Client) -> None:
    assert client.get("/media/v0", headers={"Range": "bytes=99999999-"}).status_code == 416


def test_an_unknown_id_is_not_found_with_the_reason(client: Client) -> None:
    answer = client.get("/media/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no video 'nowhere' in the collection of 4 videos"})


@pytest.mark.parametrize("path", ["/etc/hostname", "../../etc/hostname", "videos/../../x"])
def test_a_path_of_the_index_that_leaves_the_folder_is_refused(library: MediaLibrary, path: str) -> None:
    videos = {"bad": replace(library.collection.videos["v0"], path=path)}
    changed = MediaLibrary(replace(library.collection, videos=videos), library.media_dir, library.thumbnails_dir)
    with pytest.raises(FileNotFoundError, match="the path of video 'bad' leaves the media folder"):
        changed.find_video_file("bad")


def test_before_the_collection_is_verified_the_answer_is_not_ready() -> None:
    client = Client(build_media_app())
    assert client.get("/media/v0").status_code == 503
    assert client.get("/thumbnails/v0/0.jpg").status_code == 503


def test_thumbnails_are_found_by_id_and_number(client: Client, library: MediaLibrary) -> None:
    path = library.thumbnails_dir / name_thumbnail_folder("v0") / "0.jpg"
    path.parent.mkdir()
    path.write_bytes(b"picture")
    assert client.get("/thumbnails/v0/0.jpg").content == b"picture"
    assert client.get("/thumbnails/v0/1.jpg").status_code == 404


def test_ids_that_differ_in_unsafe_characters_have_different_safe_folders() -> None:
    names = {name_thumbnail_folder(video_id) for video_id in ("a/b", "a b", "../a", "a_b", "x" * 300)}
    assert len(names) == 5
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") and len(name) < 64 for name in names)

"""The page of a running service in a real browser, at desktop and phone width."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loopback import SERVICE, Server, start_server, stop_server

TIMEOUT_MS = 60_000
DESK, PHONE = (1280, 860), (390, 844)
SENTENCES = ("a red circle moves left", "the blue square spins", "then the green circle leaves", "a square grows and shrinks")


@dataclass(frozen=True)
class PageService:
    """A service whose collection finds moments for one sentence and none for another."""

    server: Server
    found_sentence: str
    absent_sentence: str

    def read_feedback(self) -> list[dict[str, Any]]:
        """Return the feedback of visitors, oldest first."""
        lines = (self.server.home / "state" / "feedback.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Folders:
    """A bundle whose threshold passes one sentence but not another, its index, and the videos."""

    bundle_dir: Path
    index_dir: Path
    media_dir: Path
    thumbnails_dir: Path
    found_sentence: str
    absent_sentence: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of a service over these folders."""
        return {
            "CUEPOINT_BUNDLE": str(self.bundle_dir),
            "CUEPOINT_INDEX": str(self.index_dir),
            "CUEPOINT_MEDIA_ROOT": str(self.media_dir),
            "CUEPOINT_THUMBNAILS": str(self.thumbnails_dir),
        }


@pytest.fixture(scope="session")
def folders(small_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """The small project with thumbnails, and a threshold between the highest and the lowest confidence of its sentences."""
    from corpus.media.pictures.thumbnails import name_thumbnail_folder, save_thumbnails
    from search.answers import SearchQuery
    from search.bundle import Manifest, load_bundle, save_manifest
    from search.predictor import MomentPredictor
    from stages.index import index

    predictor = MomentPredictor.load(small_project.bundle, small_project.index)
    answers = predictor.search([SearchQuery(sentence, 1) for sentence in SENTENCES])
    sureness = {sentence: answer.moments[0].confidence for sentence, answer in zip(SENTENCES, answers, strict=True)}
    least, surest = (choose(sureness, key=lambda one: sureness[one] or 0.0) for choose in (min, max))
    home = tmp_path_factory.mktemp("page")
    shutil.copytree(small_project.bundle, home / "bundle")
    content = load_bundle(home / "bundle").manifest.model_dump(mode="json")
    content["calibration"]["search"]["threshold"] = (sureness[least] + sureness[surest]) / 2
    save_manifest(Manifest.model_validate(content), home / "bundle")
    index(
        bundle_dir=home / "bundle",
        corpus_dir=small_project.corpus,
        features_dir=small_project.features,
        corpus_name="small",
        index_dir=home / "index",
    )
    for path in (small_project.raw / "videos").iterdir():
        save_thumbnails(path, home / "thumbnails" / name_thumbnail_folder(path.stem), count=2)
    return Folders(home / "bundle", home / "index", small_project.raw, home / "thumbnails", surest, least)


@pytest.fixture(scope="session")
def service(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageService]:
    """A running service; tests do not change its collection."""
    server = start_server(SERVICE, tmp_path_factory.mktemp("service"), **folders.environment)
    try:
        server.wait_until_ready()
        yield PageService(server, folders.found_sentence, folders.absent_sentence)
    finally:
        stop_server(server)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a new browser context of a given size; the page must not log errors."""
    contexts, errors = [], []

    def open_at(url: str, size: tuple[int, int] = DESK, **options: Any) -> Any:
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height}, has_touch=size == PHONE, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if is_own_error(message) else None)
        page.goto(url)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert errors == []


def is_own_error(message: Any) -> bool:
    """Tell whether an error is the page's fault. A failed status that the browser logs is not."""
    return message.type == "error" and "Failed to load resource" not in message.text

"""Videos of the collection are removed from the search at their tile or at the player; their files stay."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from loopback import open_service

DESK, PHONE = (1280, 860), (390, 844)
pytestmark = [pytest.mark.slow, pytest.mark.browser]
TITLES = ".tile:not(.tile-add) .tile-title"


@contextmanager
def serve(folders: Any, home: Path) -> Iterator[str]:
    with open_service(home, **folders.environment) as (server, _):
        yield server.url


@pytest.fixture(scope="module")
def url(folders: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose collection does not change, because the browser's deletions do not reach it."""
    with serve(folders, tmp_path_factory.mktemp("deletion")) as url:
        yield url


def list_ids(url: str) -> list[str]:
    return [row["video_id"] for row in httpx.get(f"{url}/videos").json()["videos"]]


def keep_deletions_away(page: Any, answer: Callable[[Any], None]) -> None:
    """Answer the browser's deletions with a function; all other requests reach the service."""
    page.route("**/videos/*", lambda route: answer(route) if route.request.method == "DELETE" else route.continue_())


def show_pages_of_two(page: Any, url: str) -> None:
    """Load the library in pages of two videos, as a large collection is loaded in pages of 47."""
    page.route("**/videos?*", lambda route: route.continue_(url=route.request.url.replace("limit=47", "limit=2")))
    page.goto(url)
    page.get_by_role("button", name="Show more").click()
    page.get_by_role("button", name="Show more").wait_for(state="hidden")


def confirm(page: Any) -> None:
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()


def test_all_pages_stay_when_a_video_is_removed_and_the_next_tile_has_the_focus(open_page: Any, url: str) -> None:
    page = open_page(url)
    show_pages_of_two(page, url)
    keep_deletions_away(page, lambda route: route.fulfill(status=204))
    page.get_by_role("button", name="Remove v1").click()
    confirm(page)
    page.get_by_role("button", name="Remove v1").wait_for(state="detached")
    assert page.locator(TITLES).all_inner_texts() == ["v0", "v2", "v3"]
    assert page.locator("#library-count").inner_text() == "3"
    assert page.evaluate("document.activeElement.innerText").split()[-2:] == ["v2", "Collection"]


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_question_says_what_happens_and_the_keyboard_answers_it(open_page: Any, url: str, size: tuple[int, int]) -> None:
    page = open_page(url, size)
    remove = page.get_by_role("button", name="Remove v2")
    remove.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("heading").inner_text() == "Remove this video from the search?"
    for part in ("“v2” is no longer found", "Its file on disk is not deleted", "deletions.jsonl"):
        assert part in dialog.inner_text()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert remove.evaluate("(button) => button === document.activeElement")
    assert "v2" in list_ids(url)


@pytest.mark.parametrize(("status", "title"), [(500, "The request failed"), (429, "Too many requests")])
def test_a_failed_deletion_is_reported_and_can_be_repeated(open_page: Any, url: str, status: int, title: str) -> None:
    page = open_page(url)
    keep_deletions_away(page, lambda route: route.fulfill(status=status, json={"error": "the disk is full"}))
    page.get_by_role("button", name="Remove v0").click()
    confirm(page)
    problem = page.locator("#library-problem")
    problem.get_by_role("heading", name=title).wait_for()
    assert "the disk is full" in problem.inner_text()
    assert problem.get_by_role("button", name="Try again").is_visible()
    assert page.locator(TITLES).count() == 4


def test_a_video_that_someone_else_removed_disappears_too(open_page: Any, url: str) -> None:
    page = open_page(url)
    keep_deletions_away(page, lambda route: route.fulfill(status=404, json={"error": "there is no video 'v0'"}))
    page.get_by_role("button", name="Remove v0").click()
    confirm(page)
    page.locator("#library-problem").get_by_text("there is no video 'v0'").wait_for()
    page.get_by_role("button", name="Remove v0").wait_for(state="detached")


def test_a_failure_at_the_player_is_reported_there(open_page: Any, url: str, folders: Any) -> None:
    page = open_page(f"{url}/?q={quote(folders.found_sentence)}&v=v3&t=2-4")
    keep_deletions_away(page, lambda route: route.fulfill(status=500, json={"error": "the disk is full"}))
    page.get_by_role("button", name="Delete video").click()
    confirm(page)
    page.locator("#panel-problem").get_by_text("the disk is full").wait_for()
    assert page.locator("#panel-title").inner_text() == "v3"


def test_a_video_removed_at_the_player_disappears_from_the_answers(open_page: Any, folders: Any, tmp_path: Path) -> None:
    with serve(folders, tmp_path) as url:
        page = open_page(f"{url}/?q={quote(folders.found_sentence)}")
        page.wait_for_function("() => document.getElementById('panel-title').textContent !== ''")
        shown = page.locator("#panel-title").inner_text()
        page.get_by_role("button", name="Delete video").click()
        confirm(page)
        page.wait_for_function("(gone) => document.getElementById('panel-title').textContent !== gone", arg=shown)
        page.locator("#results[aria-busy=false]").wait_for()
        assert shown not in page.locator("#results").inner_text()
        page.get_by_role("link", name="Cuepoint, start page").click()
        page.locator(TITLES).nth(2).wait_for()
        assert shown not in page.locator(TITLES).all_inner_texts()
    assert (folders.media_dir / "videos" / f"{shown}.mp4").is_file()
    assert (tmp_path / "state" / "deletions.jsonl").read_text(encoding="utf-8") == f'{{"video_id": "{shown}"}}\n'

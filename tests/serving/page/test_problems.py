"""The page when the service cannot answer or refuses to."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from loopback import SERVICE, Server, start_server, stop_server

pytestmark = [pytest.mark.slow, pytest.mark.browser]
TOKEN = "open sesame"


@pytest.fixture(scope="module")
def guarded(folders: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with a token, a limit of twenty requests a minute, and no video files."""
    home = tmp_path_factory.mktemp("guarded")
    variables = folders.environment | {"CUEPOINT_MEDIA_ROOT": str(home / "nowhere"), "CUEPOINT_TOKEN": TOKEN}
    server = start_server(SERVICE, home, CUEPOINT_RATE_PER_MINUTE="20", CUEPOINT_OPEN_HEALTH="1", **variables)
    try:
        server.wait_until_ready()
        yield server
    finally:
        stop_server(server)


def sign_in(page: Any) -> None:
    page.locator("input[type=password]").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Find the moment.").wait_for()


def test_the_form_for_the_token_leads_to_the_link_that_was_opened(guarded: Server, open_page: Any, folders: Any) -> None:
    page = open_page(f"{guarded.url}/?q={quote(folders.found_sentence)}")
    page.locator("input[type=password]").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=folders.found_sentence).wait_for()


def test_a_lost_token_is_asked_for_in_place(guarded: Server, open_page: Any, folders: Any) -> None:
    page = open_page(guarded.url)
    sign_in(page)
    page.context.clear_cookies()
    page.get_by_role("searchbox", name="Describe a moment").fill(folders.found_sentence)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Access token")
    dialog.get_by_label("Token").fill("wrong")
    dialog.get_by_role("button", name="Continue").click()
    page.get_by_text("The token is wrong").wait_for()
    dialog.get_by_label("Token").fill(TOKEN)
    dialog.get_by_role("button", name="Continue").click()
    page.locator("button.card").first.wait_for()
    assert dialog.is_hidden()


def test_a_video_whose_file_is_missing_shows_the_reason_in_its_place(guarded: Server, open_page: Any, folders: Any) -> None:
    page = open_page(guarded.url)
    sign_in(page)
    page.goto(f"{guarded.url}/?q={quote(folders.found_sentence)}")
    page.get_by_text("set CUEPOINT_MEDIA_ROOT").wait_for()
    assert page.locator("button.card").count() >= 2


def test_rate_limited_requests_are_repeated_later(guarded: Server, open_page: Any, folders: Any) -> None:
    page = open_page(guarded.url)
    sign_in(page)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    while httpx.post(f"{guarded.url}/search", json={"query": folders.found_sentence}, headers=headers).status_code != 429:
        pass
    page.get_by_role("searchbox", name="Describe a moment").fill(folders.found_sentence)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Too many requests").wait_for()
    assert page.get_by_role("button", name="Try again").is_visible()
    page.locator("button.card").first.wait_for()


def test_without_a_connection_the_page_says_so_and_resumes_when_it_is_back(service: Any, open_page: Any) -> None:
    page = open_page(service.server.url)
    page.locator(".tile").nth(1).wait_for()
    page.context.set_offline(True)
    page.get_by_role("searchbox", name="Describe a moment").fill(service.found_sentence)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="No connection to the service").wait_for()
    assert page.locator("#panel").is_hidden()
    page.context.set_offline(False)
    page.locator("button.card").first.wait_for()


def test_requests_to_a_starting_service_are_repeated(service: Any, open_page: Any) -> None:
    page = open_page(service.server.url)
    left = [2]

    def answer_as_when_starting(route: Any) -> None:
        left[0] -= 1
        reason = '{"error": "the files are being verified; try again later"}'
        route.fulfill(status=503, body=reason, content_type="application/json", headers={"Retry-After": "1"})

    page.route("**/search", answer_as_when_starting, times=left[0])
    page.get_by_role("searchbox", name="Describe a moment").fill(service.found_sentence)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="The service is starting").wait_for()
    page.locator(".notice").get_by_text("the files are being verified").wait_for()
    page.locator("button.card").first.wait_for()
    assert left == [0]


def test_a_refused_sentence_shows_the_reason(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/?q=%3F%3F%3F")
    page.get_by_role("heading", name="The request failed").wait_for()
    assert "has no words" in page.locator(".notice p").inner_text()


def test_a_link_to_a_missing_video_says_so_and_offers_the_others(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/?q={quote(service.found_sentence)}&in=upload-0000000000000000")
    page.get_by_role("heading", name="Video not found").wait_for()
    page.get_by_role("button", name="Search in all videos").last.click()
    page.locator("button.card").first.wait_for()

"""Real videos, some of them awkward, on the page: uploaded, searched and played, or refused with the reason."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser]
LIMIT_MS = 120_000
UPLOADS = ".tile-delete[aria-label^='Delete']"  # videos of the collection are removed, not deleted
IS_SHOWN = "() => { const video = document.getElementById('video'); return video.readyState >= 2 && video.videoWidth > 0; }"


def wait_for_uploads(page: Any, count: int) -> None:
    finished = f"() => document.querySelectorAll('.upload[data-state=ready], .upload[data-state=failed]').length === {count}"
    page.wait_for_function(finished, timeout=LIMIT_MS)


def test_real_videos_are_uploaded_searched_and_played_and_a_broken_one_is_refused(
    service: Any, open_page: Any, shared_dir: Path
) -> None:
    paths = sorted((shared_dir / "real" / "videos").glob("*.mp4")) + sorted((shared_dir / "real" / "odd").iterdir())
    page = open_page(service.server.url)
    page.locator("#file").set_input_files(paths)
    wait_for_uploads(page, len(paths))
    broken = page.locator(".upload", has_text="corrupted.mp4")
    assert broken.get_attribute("data-state") == "failed"
    assert len(broken.locator(".upload-state").inner_text()) > 10
    page.get_by_role("button", name="Dismiss: corrupted.mp4").click()
    page.get_by_role("button", name="Remove finished uploads").click()
    for path in paths:
        if path.name != "corrupted.mp4":
            search_and_play(page, path.name, service.found_sentence)
    remove_uploads(page)


def search_and_play(page: Any, title: str, sentence: str) -> None:
    page.get_by_role("link", name="Cuepoint, start page").click()
    page.get_by_role("button", name=title).first.click()
    page.get_by_role("heading", name=title).wait_for()
    page.get_by_role("searchbox", name="Describe a moment").fill(sentence)
    page.keyboard.press("Enter")
    page.locator("button.card").first.wait_for()
    page.wait_for_function(IS_SHOWN, timeout=LIMIT_MS)
    assert page.locator("#stage-note").inner_text() == ""


def remove_uploads(page: Any) -> None:
    page.get_by_role("link", name="Cuepoint, start page").click()
    buttons = page.locator(UPLOADS)
    buttons.first.wait_for()
    for left in range(buttons.count(), 0, -1):
        buttons.first.click()
        page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
        page.wait_for_function("([buttons, left]) => document.querySelectorAll(buttons).length === left", arg=[UPLOADS, left - 1])

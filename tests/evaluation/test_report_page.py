"""The report in a real browser."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_is_readable_offline_on_a_desktop_and_on_a_phone(report_dir: Path, browser: Any, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, offline=True)
    page = context.new_page()
    requested: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto((report_dir / "index.html").as_uri())
    page.locator("details summary").click()
    assert page.get_by_text("mAP, IoU .75").is_visible()
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
    assert errors == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    broken = "Array.from(document.images).filter(image => image.naturalWidth === 0).map(image => image.alt)"
    assert page.evaluate(broken) == []
    assert page.evaluate("document.images.length") >= 8
    context.close()

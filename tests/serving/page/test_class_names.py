"""The page says which models answered by which class names, and what they are good for."""

from collections.abc import Iterator
from typing import Any

import pytest

from loopback import SERVICE, start_server, stop_server

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def address(class_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = start_server(SERVICE, tmp_path_factory.mktemp("classes"), **class_project.environment)
    try:
        server.wait_until_ready()
        yield server.url
    finally:
        stop_server(server)


def test_an_answer_names_its_models_and_classes(address: str, open_page: Any) -> None:
    page = open_page(address)
    page.get_by_role("searchbox", name="Describe a moment").fill("a red circle")
    page.keyboard.press("Enter")
    page.locator("button.card").first.wait_for()
    note = page.locator(".results .note")
    assert note.inner_text().startswith("Answered by real at tiny, by ")
    assert page.locator(".results").inner_text().count("similar to the sentence") == 1  # in the note, or as the reason
    assert note.locator("b").count() == 6  # the models and five classes
    assert page.locator("#versions").inner_text().startswith("Models real tiny")
    assert page.locator("#purpose").inner_text().startswith("Objects, animals")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_an_answer_of_trained_models_names_them_and_no_classes(service: Any, open_page: Any) -> None:
    page = open_page(service.server.url)
    page.get_by_role("searchbox", name="Describe a moment").fill(service.found_sentence)
    page.keyboard.press("Enter")
    page.locator("button.card").first.wait_for()
    assert page.locator(".results .note").count() == 0
    assert page.locator("#purpose").is_hidden()
    assert page.locator("#versions b").inner_text() != ""

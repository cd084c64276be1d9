"""Search on the page: moments of a typed sentence are listed, played from start to end, and linkable."""

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

DESK, PHONE = (1280, 860), (390, 844)
pytestmark = [pytest.mark.slow, pytest.mark.browser]
CURRENT_S = "document.getElementById('video').currentTime"
PLAYS = "() => !document.getElementById('video').paused"
STANDS = "() => document.getElementById('video').paused"
IS_LOADED = "() => document.getElementById('video').readyState >= 2"


def read_link(page: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def read_span(page: Any) -> tuple[float, float]:
    start_s, _, end_s = read_link(page)["t"].partition("-")
    return float(start_s), float(end_s)


def search(page: Any, sentence: str) -> None:
    page.get_by_role("searchbox", name="Describe a moment").fill(sentence)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_typed_sentence_shows_cards_and_plays_the_best_moment_to_its_end(
    service: Any, open_page: Any, size: tuple[int, int]
) -> None:
    page = open_page(service.server.url, size)
    search(page, service.found_sentence)
    page.locator("button.card").first.wait_for()
    assert page.locator("button.card").count() >= 2
    assert re.match(r"\d:\d\d\.\d – \d:\d\d\.\d", page.locator(".card-time").first.inner_text())
    assert page.locator("button.card").first.get_attribute("aria-current") == "true"
    page.wait_for_function("() => document.querySelector('.card img').naturalWidth > 0")
    page.wait_for_function(PLAYS)
    start_s, end_s = read_span(page)
    assert start_s - 0.01 <= page.evaluate(CURRENT_S) <= end_s + 0.05
    page.wait_for_function(STANDS)
    assert end_s - 0.25 <= page.evaluate(CURRENT_S) <= end_s
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_another_card_is_another_step_of_the_history(service: Any, open_page: Any) -> None:
    page = open_page(service.server.url)
    search(page, service.found_sentence)
    cards = page.locator("button.card")
    cards.nth(1).click()
    page.wait_for_function("() => document.querySelectorAll('button.card')[1].hasAttribute('aria-current')")
    second = read_span(page)
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('button.card')[0].hasAttribute('aria-current')")
    assert (read_link(page)["v"], read_span(page)) != second
    page.go_back()
    page.get_by_role("heading", name="Find the moment.").wait_for()
    page.go_forward()
    cards.first.wait_for()
    assert page.get_by_role("searchbox").input_value() == service.found_sentence


def test_a_deep_link_shows_its_moment_even_if_it_is_not_an_answer(service: Any, open_page: Any) -> None:
    link = f"{service.server.url}/?q={quote(service.found_sentence)}&v=v2&t=2.25-3.5"
    page = open_page(link)
    page.wait_for_function(PLAYS)
    assert "/media/v2" in page.evaluate("document.getElementById('video').src")
    assert 2.2 <= page.evaluate(CURRENT_S) <= 3.55
    page.wait_for_function(STANDS)
    assert 3.25 <= page.evaluate(CURRENT_S) <= 3.5
    assert page.locator("button.card").count() >= 2
    assert page.get_by_role("slider", name="Start of the moment").get_attribute("aria-valuenow") in ("2.2", "2.3")


def test_nothing_moves_by_itself_with_reduced_motion(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/?q={quote(service.found_sentence)}", reduced_motion="reduce")
    page.wait_for_function(IS_LOADED)
    page.wait_for_timeout(300)
    assert page.evaluate(STANDS)
    page.get_by_role("button", name="Play the moment", exact=True).click()
    page.wait_for_function(PLAYS)


def test_results_appear_without_layout_shifts(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/?q={quote(service.found_sentence)}")
    page.locator("button.card").first.wait_for()
    page.wait_for_function(IS_LOADED)
    shifts = """() => new Promise((resolve) => new PerformanceObserver((list) =>
        resolve(list.getEntries().reduce((sum, entry) => sum + entry.value, 0))).observe({type: 'layout-shift', buffered: true})
        || setTimeout(() => resolve(0), 300))"""
    assert page.evaluate(shifts) < 0.1


def test_the_search_can_be_limited_to_one_video(service: Any, open_page: Any) -> None:
    page = open_page(service.server.url)
    page.get_by_role("button", name="v3 Collection").click()
    page.get_by_text("Search in this video").wait_for()
    search(page, service.found_sentence)
    page.locator("button.card").first.wait_for()
    assert set(page.locator(".card-title").all_inner_texts()) == {"v3"}
    assert read_link(page)["in"] == "v3"
    page.get_by_role("button", name="Search in all videos").click()
    page.wait_for_function("() => new Set([...document.querySelectorAll('.card-title')].map((one) => one.textContent)).size > 1")
    assert "in" not in read_link(page)


def test_the_timeline_shows_scores_and_neighbours_that_can_be_chosen(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/?q={quote(service.found_sentence)}&in=v3")
    neighbours = page.get_by_role("group", name="Other moments of this video").get_by_role("button")
    neighbours.first.wait_for()
    assert "highest" in page.locator("#curve").get_attribute("aria-label")
    assert len(page.locator("#curve .line").get_attribute("d").split("L")) > 5
    before = read_span(page)
    neighbours.first.click()
    page.wait_for_function(f"() => !location.search.includes('t={before[0]:g}-{before[1]:g}')")


def test_not_found_is_shown_with_the_best_guess(service: Any, open_page: Any) -> None:
    page = open_page(service.server.url)
    search(page, f"{service.absent_sentence} xylophone")
    page.get_by_role("heading", name="No moment found").wait_for()
    assert page.locator("button.card").count() == 1
    assert page.get_by_role("heading", name="Best guess").is_visible()
    assert page.locator("#stage-badge").is_visible()
    assert page.locator(".note b").all_inner_texts() == ["xylophone"]
    page.wait_for_function(IS_LOADED)
    assert page.evaluate(STANDS)


def test_models_that_do_not_know_the_words_are_unsure_and_say_why(service: Any, open_page: Any) -> None:
    page = open_page(service.server.url)
    search(page, "a xylophone yodels")
    page.get_by_role("heading", name="Not sure whether it is here").wait_for()
    assert page.locator(".reason").inner_text() == "The models know 1 of the sentence's 3 words."
    assert page.locator("button.card").count() == 1
    assert page.get_by_role("heading", name="Best guess").is_visible()
    assert page.locator("#answer-facts").inner_text().startswith("Unsure")


def test_models_that_cannot_tell_show_what_comes_closest_and_play_nothing(service: Any, open_page: Any) -> None:
    page = open_page(service.server.url)

    def make_unsure(route: Any) -> None:
        answer = route.fetch().json()
        route.fulfill(json=answer | {"verdict": "unsure", "found": False, "reason": "Nobody measured it."})

    page.route("**/search", make_unsure)
    search(page, service.found_sentence)
    page.get_by_role("heading", name="Not sure whether it is here").wait_for()
    assert page.locator(".verdict p").all_inner_texts()[0].endswith("These moments come closest.")
    assert page.locator(".reason").inner_text() == "Nobody measured it."
    assert page.locator("button.card").count() > 1
    assert page.get_by_role("heading", name="Best guess").count() == 0
    assert page.locator("#stage-badge").is_visible()
    page.wait_for_function(IS_LOADED)
    assert page.evaluate(STANDS)


def test_texts_of_the_address_are_text(service: Any, open_page: Any) -> None:
    sentence = '<img src=x onerror="document.title=1"><b>circle</b>'
    page = open_page(f"{service.server.url}/?q={quote(sentence)}")
    page.locator("button.card").first.wait_for()
    assert page.get_by_role("heading", level=1).inner_text() == sentence
    assert page.locator("main b, h1 img").count() == page.locator(".note b").count()


def test_versions_and_time_are_shown(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/?q={quote(service.found_sentence)}")
    page.locator("button.card").first.wait_for()
    assert re.search(r"\d+ moments? · [\d.]+ m?s", page.locator("#answer-facts").inner_text())
    assert re.fullmatch(r"Models [\w, ]+ · [0-9a-f]{12} · Index [0-9a-f]{12} · \w+", page.locator("#versions").inner_text())


def test_past_the_end_of_the_moment_the_video_plays_on(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/?q={quote(service.found_sentence)}&v=v3&t=1-2", reduced_motion="reduce")
    page.wait_for_function(IS_LOADED)
    track = page.locator("#track").bounding_box()
    page.mouse.click(track["x"] + track["width"] * 0.3, track["y"] + 10)
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(f"() => {CURRENT_S} > 3")
    assert not page.evaluate(STANDS)

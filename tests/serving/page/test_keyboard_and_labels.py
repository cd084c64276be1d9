"""The page by keyboard and for screen readers."""

from typing import Any
from urllib.parse import quote

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser]
NAMED_ROLES = {"button", "link", "textbox", "searchbox", "slider", "progressbar", "dialog", "image", "group", "region"}
FOCUSED = "document.activeElement"
CONTRASTS = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const read = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const shine = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (element) => { for (let one = element; one; one = one.parentElement) {
        const color = read(getComputedStyle(one).backgroundColor); if (color[3] === 255) return color; }
        return [255, 255, 255]; };
    const texts = [...document.querySelectorAll('body *')].filter((one) => one.checkVisibility({opacityProperty: true})
        && !one.closest('.stage, .thumb, .visually-hidden, [aria-hidden=true], .skip, :disabled')
        && [...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()));
    return texts.map((one) => { const [a, b] = [shine(read(getComputedStyle(one).color)), shine(ground(one))];
        return [one.textContent.trim().slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
}"""


def open_answer(service: Any, open_page: Any, **options: Any) -> Any:
    page = open_page(f"{service.server.url}/?q={quote(service.found_sentence)}", **options)
    page.locator("button.card").first.wait_for()
    page.wait_for_function("() => document.getElementById('video').readyState >= 2")
    return page


def test_the_keys_lead_from_the_search_box_through_the_moments_and_back(service: Any, open_page: Any) -> None:
    page = open_answer(service, open_page, reduced_motion="reduce")
    page.keyboard.press("/")
    assert page.evaluate(f"{FOCUSED}.id") == "query"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(f"[...document.querySelectorAll('button.card')].indexOf({FOCUSED})") == 1
    assert page.evaluate(f"getComputedStyle({FOCUSED}).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('button.card')[1].hasAttribute('aria-current')")
    page.wait_for_function("() => !document.getElementById('video').paused")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.getElementById('video').paused")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(f"{FOCUSED}.id") == "query"


def test_space_plays_and_escape_pauses_and_leads_back(service: Any, open_page: Any) -> None:
    page = open_answer(service, open_page, reduced_motion="reduce")
    page.locator("body").press("Space")
    page.wait_for_function("() => !document.getElementById('video').paused")
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.getElementById('video').paused")
    page.keyboard.press("Escape")
    assert page.evaluate(f"{FOCUSED}.id") == "query"


def test_handles_move_by_keys_and_escape_resets_the_correction(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/?q={quote(service.found_sentence)}&v=v3&t=2-4", reduced_motion="reduce")
    handle = page.get_by_role("slider", name="End of the moment")
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert handle.get_attribute("aria-valuenow") == "5.1"
    assert handle.get_attribute("aria-valuetext") == "5.1 seconds"
    assert page.get_by_role("button", name="Send correction").is_visible()
    page.keyboard.press("Escape")
    assert handle.get_attribute("aria-valuenow") == "4.0"


def test_nothing_of_the_player_can_be_used_before_it_shows_a_video(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/")
    held: list[Any] = []
    page.route("**/search", lambda route: held.append(route))
    page.locator("#query").fill(service.found_sentence)
    page.keyboard.press("Enter")
    page.locator("#panel").wait_for()
    page.locator("#handle-end").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(f"{FOCUSED}.closest('#panel')") is None
    assert page.get_by_role("slider", name="End of the moment").count() == 0
    for one in held:
        one.continue_()
    page.get_by_role("slider", name="End of the moment").wait_for()


def test_the_question_mark_lists_the_keys(service: Any, open_page: Any) -> None:
    page = open_page(f"{service.server.url}/?in=v1")
    page.get_by_role("button", name="Keyboard").focus()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog", name="Keyboard").is_hidden()


@pytest.mark.parametrize("path", ["/", "/?q={}"], ids=["start page", "answer"])
def test_every_control_has_a_name(service: Any, open_page: Any, path: str) -> None:
    page = open_page(service.server.url + path.format(quote(service.found_sentence)))
    page.locator("button.card, .tile img").first.wait_for()
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    known = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
    assert [role for role, name in known if role in NAMED_ROLES and not name.strip()] == []
    assert {role for role, _ in known} >= {"banner", "main", "contentinfo", "search", "navigation"}
    assert page.locator("h1:visible").count() == 1


def test_results_are_announced_to_screen_readers(service: Any, open_page: Any) -> None:
    page = open_answer(service, open_page)
    said = page.locator("#announcer")
    assert said.get_attribute("aria-live") == "polite"
    assert said.inner_text().endswith("found.")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_have_contrast_in_both_themes_and_the_choice_stays(service: Any, open_page: Any, theme: str) -> None:
    page = open_answer(service, open_page, color_scheme=theme)
    assert [row for row in page.evaluate(CONTRASTS) if row[1] < 4.5] == []
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark colours").click()
    changed = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert changed != before
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == changed

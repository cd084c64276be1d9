"""Contributions of visitors: verdicts, corrections, videos."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

DESK, PHONE = (1280, 860), (390, 844)
pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def clip_path(small_project: Any, tmp_path: Path) -> Path:
    """A video outside the collection: one of its files with other last bytes, which no player reads."""
    path = tmp_path / "holiday <b>2024.mp4"
    path.write_bytes((small_project.raw / "videos" / "v0.mp4").read_bytes() + b"\0\0\0\x10free" + b"drawn ok")
    return path


def open_moment(service: Any, open_page: Any, size: tuple[int, int] = DESK) -> Any:
    page = open_page(f"{service.server.url}/?q={quote(service.found_sentence)}&v=v3&t=2-4", size)
    page.wait_for_function("() => document.getElementById('video').readyState >= 1")
    page.get_by_role("button", name="Right").wait_for()
    return page


@pytest.mark.parametrize(("label", "verdict"), [("Right", "right"), ("Wrong", "wrong")])
def test_a_verdict_is_kept(service: Any, open_page: Any, label: str, verdict: str) -> None:
    page = open_moment(service, open_page)
    page.get_by_role("button", name=label).click()
    page.get_by_text(f"Saved as {verdict}").wait_for()
    assert page.get_by_role("button", name=label).get_attribute("aria-pressed") == "true"
    kept = service.read_feedback()[-1]
    assert (kept["verdict"], kept["video_id"], kept["query"]) == (verdict, "v3", service.found_sentence)
    assert (kept["start_s"], kept["end_s"]) == (2.0, 4.0)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_dragged_end_is_sent_as_a_correction(service: Any, open_page: Any, size: tuple[int, int]) -> None:
    page = open_moment(service, open_page, size)
    handle, track = (page.locator(f"#{name}").bounding_box() for name in ("handle-end", "track"))
    y = track["y"] + track["height"] / 2
    page.mouse.move(handle["x"] + handle["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * 0.75, y, steps=6)
    page.mouse.up()
    assert 5.7 <= float(page.get_by_role("slider", name="End of the moment").get_attribute("aria-valuenow")) <= 6.3
    page.get_by_role("button", name="Send correction").click()
    page.get_by_text("Your correction is saved").wait_for()
    kept = service.read_feedback()[-1]
    assert kept["verdict"] == "corrected"
    assert kept["corrected_start_s"] == 2.0
    assert 5.7 <= kept["corrected_end_s"] <= 6.3
    assert kept["answer_id"]


def test_a_new_moment_can_be_drawn_and_reset(service: Any, open_page: Any) -> None:
    page = open_moment(service, open_page)
    track = page.locator("#track").bounding_box()
    y = track["y"] + 20
    page.mouse.move(track["x"] + track["width"] * 0.8, y)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * 0.9, y, steps=6)
    page.mouse.up()
    assert page.get_by_text("Corrected to").inner_text().startswith("Corrected to 0:06.4 – 0:07.2")
    page.get_by_role("button", name="Reset").click()
    assert page.get_by_role("slider", name="Start of the moment").get_attribute("aria-valuenow") == "2.0"
    assert page.get_by_role("button", name="Right").is_visible()


def test_a_click_on_the_timeline_seeks_and_changes_nothing(service: Any, open_page: Any) -> None:
    page = open_moment(service, open_page)
    track = page.locator("#track").bounding_box()
    page.mouse.click(track["x"] + track["width"] * 0.75, track["y"] + 20)
    page.wait_for_function("() => Math.abs(document.getElementById('video').currentTime - 6) < 0.3")
    assert page.get_by_role("button", name="Right").is_visible()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_an_uploaded_video_is_indexed_found_and_deleted(
    service: Any, open_page: Any, clip_path: Path, size: tuple[int, int]
) -> None:
    page = open_page(service.server.url, size)
    states: list[str] = []
    page.expose_function("note", lambda state: states.append(state))
    page.evaluate("""() => new MutationObserver(() => document.querySelectorAll('.upload').forEach((one) =>
        note(one.dataset.state))).observe(document.getElementById('tray'), {subtree: true, childList: true, attributes: true})""")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload", exact=True).click()
    chooser.value.set_files(clip_path)
    page.get_by_role("button", name=f"Search in it: {clip_path.name}").click()
    assert {"sending", "ready"} <= set(states)
    assert {"waiting", "indexing"} & set(states)
    page.get_by_text("Search in this video").wait_for()
    assert page.locator("#scope-title").inner_text() == clip_path.name
    page.get_by_role("searchbox").fill(service.found_sentence)
    page.keyboard.press("Enter")
    page.locator("button.card").first.wait_for()
    page.wait_for_function("() => document.getElementById('video').readyState >= 2")
    delete_upload(page, clip_path.name)
    assert httpx.get(f"{service.server.url}/videos").json()["total"] == 4


def delete_upload(page: Any, title: str) -> None:
    page.get_by_role("link", name="Cuepoint, start page").click()
    page.get_by_role("button", name=f"Delete {title}").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name=f"Delete {title}").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name=f"Delete {title}").wait_for(state="detached")


def test_a_file_that_is_not_a_video_is_refused_with_its_reason(service: Any, open_page: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(b"not a video at all")
    page = open_page(service.server.url)
    page.locator("#file").set_input_files(path)
    page.locator(".upload-state").get_by_text("the file does not start like a known video container").wait_for()
    page.get_by_role("button", name="Dismiss: notes.mp4").click()
    assert page.locator("#tray").is_hidden()


def test_an_interrupted_upload_can_be_sent_again(service: Any, open_page: Any, clip_path: Path) -> None:
    page = open_page(service.server.url)
    page.locator(".tile").nth(1).wait_for()
    page.context.set_offline(True)
    page.locator("#file").set_input_files({"name": "cut.mp4", "mimeType": "video/mp4", "buffer": clip_path.read_bytes()})
    again = page.get_by_role("button", name="Try again: cut.mp4")
    again.wait_for()
    page.context.set_offline(False)
    again.click()
    page.get_by_role("button", name="Search in it: cut.mp4").wait_for()
    assert again.is_hidden()
    delete_upload(page, "cut.mp4")


def test_a_dropped_video_is_uploaded(service: Any, open_page: Any, clip_path: Path) -> None:
    page = open_page(service.server.url)
    drop = """async (bytes) => {
        const files = new DataTransfer();
        files.items.add(new File([new Uint8Array(bytes)], 'dropped.mp4'));
        for (const name of ['dragenter', 'dragover', 'drop'])
            document.body.dispatchEvent(new DragEvent(name, {dataTransfer: files, bubbles: true, cancelable: true}));
    }"""
    page.evaluate(drop, list(clip_path.read_bytes()))
    page.get_by_role("button", name="Search in it: dropped.mp4").wait_for()
    delete_upload(page, "dropped.mp4")

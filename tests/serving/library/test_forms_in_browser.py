"""Chromium plays the forms of odd files to their end, in their length and proportions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.media import probe, read_shown_size
from flashes import Recording, join_files, write_flashes
from flat_videos import BT2020, PQ, Flat, write_flat
from odd_media import ODD_FILES
from serving.library.playable import find_form, write_playable

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PLAY = """async (video) => {
  video.muted = true; video.playbackRate = 4;
  const ended = new Promise((resolve, reject) => {
    video.onended = resolve; video.onerror = () => reject(video.error.message);
  });
  if (video.error) throw video.error.message;
  await video.play();
  await ended;
  return [video.duration, video.currentTime, video.videoWidth, video.videoHeight];
}"""


def write_joined(path: Path) -> None:
    parts = [path.with_name(f"{number}.ts") for number in range(2)]
    for part, layout in zip(parts, ("stereo", "5.1"), strict=True):
        write_flashes(part, Recording(sound="ac3", layout=layout, length_s=2.0))
    join_files(path, parts)


def write_hdr(path: Path) -> None:
    write_flat(path, Flat((573, 512, 512), (64, 48), "yuv420p10le", BT2020, PQ, BT2020), codec="libx265")


FILES: dict[str, Callable[[Path], Any]] = {
    "joined.ts": write_joined,
    "hdr.mp4": write_hdr,
    **{
        name: ODD_FILES[name].make
        for name in ("wide_pixels.avi", "wide_pixels.mp4", "one_is_broken.mkv", "broken_sound_packet.mp4", "preview_first.mp4")
    },
}


@pytest.mark.parametrize("name", FILES)
def test_chromium_plays_the_form_to_its_end(name: str, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    FILES[name](path)
    form = find_form(path)
    played = path if form.how == "as_is" else tmp_path / "form.mp4"
    if form.how != "as_is":
        write_playable(path, played, form, report=lambda _: None)
    page = browser.new_page()
    page.goto((tmp_path / "..").resolve().as_uri())
    page.set_content(f'<video src="{played.as_uri()}" preload="auto"></video>')
    duration_s, ended_at_s, width, height = page.locator("video").evaluate(PLAY)
    page.close()
    assert duration_s == pytest.approx(probe(path).duration_s, abs=0.1)
    assert ended_at_s == pytest.approx(duration_s, abs=0.1)
    shown = read_shown_size(path)
    assert (width, height) == pytest.approx(tuple(shown), abs=1)

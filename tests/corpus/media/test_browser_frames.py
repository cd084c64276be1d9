"""Frames equal those that a browser shows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.media import Images, read_frames
from frame_files import EDITS, FILES

# Uneven rates are left out: Chromium estimates the duration of frames and is off by one there.
SHOWN = (
    *("plain.mp4", "b_frames.mp4", "b_frames.mkv", "negative_offsets.mp4", "more_sound.mp4", "mov.mov", "vp9_sound.webm"),
    *("late.mp4", "late_b.mp4", "late_with_sound.mp4", "late.mkv", "late.webm", "late_with_sound.webm"),
)
READ_IN_BROWSER = """async ([url, times, size]) => {
  const video = document.createElement("video");
  const wait = (event) => new Promise((resolve, reject) => {
    video.addEventListener(event, resolve, {once: true});
    video.addEventListener("error", reject, {once: true});
    setTimeout(reject, 5000);
  });
  video.muted = true; video.preload = "auto";
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const images = [];
  try {
    const opened = wait("loadeddata"); video.src = url; await opened;
    for (const time of times) {
      const sought = wait("seeked"); video.currentTime = time; await sought;
      await new Promise((resolve) => { video.requestVideoFrameCallback(resolve); setTimeout(resolve, 200); });
      context.drawImage(video, 0, 0, size, size);
      images.push(Array.from(context.getImageData(0, 0, size, size).data));
    }
  } catch { return null; } finally { video.removeAttribute("src"); video.load(); }
  return images;
}"""


@pytest.fixture
def show(tmp_path: Path, browser: Any) -> Iterator[Callable[[Path, list[float]], Images | None]]:
    """Return the frames that Chromium shows at given `currentTime`s, (T, 64, 64, 3), or None for an unplayable file."""
    (tmp_path / "page.html").write_text("<body></body>")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())

    def read(path: Path, times_s: list[float]) -> Images | None:
        images = page.evaluate(READ_IN_BROWSER, [path.as_uri(), times_s, 64])
        return None if images is None else np.array(images, np.uint8).reshape(-1, 64, 64, 4)[..., :3]

    yield read
    page.close()


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_shows_the_same_frames(clips: Any, show: Callable[[Path, list[float]], Images | None]) -> None:
    paths = [clips.write(name, **FILES[name]) for name in SHOWN]
    for name in ("trimmed", "trimmed_between_frames", "delayed"):
        paths.append(clips.write(f"{name}.mp4", options={"bf": "0", "g": "10"}))
        clips.set_edits(paths[-1], EDITS[name][0])
    for matrix in ((-1, 0, 0, 1), (0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1)):
        paths.append(clips.write(f"matrix{matrix}.mp4"))
        clips.set_matrix(paths[-1], matrix)
    times_s = [0.0, 0.145, 0.745, 0.855, 2.455]
    for path in paths:
        images = show(path, times_s)
        assert images is not None, path.name
        assert clips.read(read_frames(path, np.array(times_s), 64)) == clips.read(images), path.name


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_shows_real_videos_the_same_way_up(
    shared_dir: Path, show: Callable[[Path, list[float]], Images | None]
) -> None:
    for turn in (0, 90, 180, 270):
        path = shared_dir / "real" / "odd" / f"video_{turn}.mov"
        shown = show(path, [0.01])
        assert shown is not None
        (found,) = read_frames(path, np.array([0.01]), 64).astype(int)
        differences = [np.abs(np.rot90(found, quarters) - shown[0]).mean() for quarters in range(4)]
        assert differences[0] < min(differences[1:]) / 2

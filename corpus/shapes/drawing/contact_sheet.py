"""Contact sheet of the corpus: sentences with frames of their moments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from corpus.files import write_bytes
from corpus.shapes.drawing.draw import draw_frames
from corpus.shapes.scene import Scene

_COLUMNS = 6
_PER_FORM = 2
_ZOOM = 1.25
_CAPTION_PX = 24
_GAP_PX = 3
_PAPER, _INK = 255, (20, 20, 20)


def write_contact_sheet(path: Path, scenes: Sequence[Scene], rows: Sequence[Mapping[str, Any]], *, size_px: int) -> None:
    """Write a PNG with two strips per form of sentence."""
    by_id = {scene.video_id: scene for scene in scenes}
    strips = [build_strip(by_id[row["vid"]], row, size_px=size_px) for row in _choose(rows)]
    done, png = cv2.imencode(".png", cv2.cvtColor(np.concatenate(strips), cv2.COLOR_RGB2BGR))
    assert done
    write_bytes(path, png.tobytes())


def _choose(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Choose two sentences of each form, from different videos if there are enough."""
    chosen: list[Mapping[str, Any]] = []
    for form in sorted({row["tags"]["form"] for row in rows}):
        of_form = [row for row in rows if row["tags"]["form"] == form]
        seen = {row["vid"] for row in chosen}
        fresh = {row["vid"]: row for row in reversed(of_form) if row["vid"] not in seen}
        chosen += (list(reversed(fresh.values())) or of_form)[:_PER_FORM]
    return chosen


def build_strip(scene: Scene, row: Mapping[str, Any], *, size_px: int) -> NDArray[np.uint8]:
    """Return the sentence above evenly spaced frames of its first moment: (height, width, 3) RGB."""
    start_s, end_s = row["relevant_windows"][0]
    chosen = np.linspace(start_s * scene.fps, end_s * scene.fps - 1, _COLUMNS).round().astype(int)
    frames = {index: frame for index, frame in enumerate(draw_frames(scene, size_px)) if index in chosen}
    edge = round(size_px * _ZOOM)
    tiles = [cv2.resize(frames[index], (edge, edge), interpolation=cv2.INTER_LINEAR) for index in chosen]
    framed = [np.pad(tile, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=_PAPER) for tile in tiles]
    pictures = np.concatenate(framed, axis=1)
    caption = np.full((_CAPTION_PX, pictures.shape[1], 3), _PAPER, dtype=np.uint8)
    text = f"{row['query']}   [{start_s:.1f} - {end_s:.1f} s of {row['duration']:.1f} s]"
    cv2.putText(caption, text, (2, _CAPTION_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return np.concatenate([caption, pictures])

"""Pictures of answers: film strips and the contact sheet. Equal inputs give equal bytes."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from corpus.files import write_bytes
from corpus.media import Images, read_frames, read_shown_size
from corpus.records import Video
from evaluation.answers import Answer
from evaluation.report.diagrams import FOUND_COLOUR, INK, MUTED, TRUTH_COLOUR

_STRIP_RATIO, _STRIP_HEIGHT_PX, _GAP_PX = 8, 112, 2


def read_strip(folder: Path, video: Video) -> Images | None:
    """Return frames of a video side by side, evenly spaced in time, in the proportions of players: (H, W, 3).

    Return None if the corpus has features but no video files.
    """
    path = folder / video.path if video.path else None
    if path is None or not path.is_file():
        return None
    shown = read_shown_size(path)
    aspect = shown.width / shown.height
    count = max(2, round(_STRIP_RATIO / aspect))
    times_s = (np.arange(count) + 0.5) * video.duration_s / count
    width = round(_STRIP_HEIGHT_PX * aspect)
    frames = read_frames(path, times_s, max(width, _STRIP_HEIGHT_PX))
    shaped = np.stack([np.asarray(Image.fromarray(frame).resize((width - _GAP_PX, _STRIP_HEIGHT_PX))) for frame in frames])
    spaced = np.pad(shaped, ((0, 0), (0, 0), (_GAP_PX // 2, _GAP_PX // 2), (0, 0)), constant_values=255)  # (count, H, W, 3)
    return np.concatenate(list(spaced), axis=1)


def encode_jpeg(image: Images) -> bytes:
    """Encode an image for a page."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=84)
    return buffer.getvalue()


def write_sheet(answers: Sequence[Answer], strips: Sequence[Images | None], path: Path, *, columns: int = 2) -> None:
    """Draw answers as film strips with the true and the found moment under them, in `columns` columns, and write a PNG."""
    rows = -(-len(answers) // columns)
    figure = Figure(figsize=(7.2 * columns, 1.8 * rows), dpi=110, facecolor="white")
    for place, (answer, strip) in enumerate(zip(answers, strips, strict=True)):
        left = (place % columns + 0.062) / columns
        bottom = 1 - (place // columns + 1) / rows
        _draw_answer(figure, answer, strip, box=(left, bottom, 0.9 / columns, 1 / rows))
    write_bytes(path, _to_png(figure))


def _draw_answer(figure: Figure, answer: Answer, strip: Images | None, *, box: tuple[float, float, float, float]) -> None:
    left, bottom, width, height = box
    duration_s = answer.video.duration_s
    picture = figure.add_axes((left, bottom + 0.37 * height, width, 0.45 * height))
    if strip is None:
        picture.text(duration_s / 2, 0.5, "no video file", ha="center", va="center", color=MUTED)
        picture.set_ylim(0, 1)
    else:
        picture.imshow(strip, extent=(0, duration_s, 0, 1), aspect="auto")
    if len(answer.spans):
        picture.axvspan(*answer.spans[0], fill=False, edgecolor=FOUND_COLOUR, linewidth=2.5)
    picture.set_xlim(0, duration_s)
    picture.set_axis_off()
    figure.text(left, bottom + 0.86 * height, _shorten(answer.query.text, 52), fontsize=10.5, color=INK, weight="bold")
    verdict = f"IoU {answer.iou:.2f}   score {answer.score:.2f}"
    figure.text(left + width, bottom + 0.86 * height, verdict, fontsize=9.5, color=MUTED, ha="right")
    _draw_bars(figure.add_axes((left, bottom + 0.15 * height, width, 0.2 * height)), answer)


def _draw_bars(axes: Axes, answer: Answer) -> None:
    truth = [(moment.start_s, moment.end_s - moment.start_s) for moment in answer.query.spans]
    found = [(start, end - start) for start, end in answer.spans[:1]]
    axes.broken_barh(truth, (1.1, 0.8), color=TRUTH_COLOUR)
    axes.broken_barh(found, (0.1, 0.8), color=FOUND_COLOUR)
    axes.set(xlim=(0, answer.video.duration_s), ylim=(0, 2))
    axes.set_yticks([1.5, 0.5], ["true", "found"])
    for label, colour in zip(axes.get_yticklabels(), (TRUTH_COLOUR, FOUND_COLOUR), strict=True):
        label.set_color(colour)
    axes.xaxis.set_major_formatter("{x:g} s")
    axes.tick_params(length=0, labelsize=8, colors=MUTED)
    for label, colour in zip(axes.get_yticklabels(), (TRUTH_COLOUR, FOUND_COLOUR), strict=True):
        label.set_color(colour)
    axes.set_facecolor("#f1f3f5")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _to_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rsplit(" ", 1)[0] + " …"

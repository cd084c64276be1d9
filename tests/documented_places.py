"""The files that the commands of a page expect: videos, annotations, archives and predictions."""

import csv
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from corpus.readers import build_reader
from documented_commands import read_blocks
from small_project import write_video

CHARADES = {"train": ("AO8RW", "Y6R7T", "XGKZ3", "QPFFV"), "test": ("YLEAT", "ZB2S9")}
SENTENCES = ("person opens a door", "a person sits down", "the person drinks")
HOLIDAY_S, KITCHEN_S, STREET_S = 80, 8, 18


def lay_out_holiday(checkout: Path) -> None:
    """Put a folder of two videos beside the checkout."""
    folder = checkout.parent / "holiday"
    folder.mkdir(exist_ok=True)
    for number in (0, 1):
        shutil.copy(checkout / "data" / "raw" / "shapes" / "videos" / f"test_000{number}.mp4", folder / f"day {number}.mp4")


def lay_out_own_videos(checkout: Path) -> None:
    """Write the videos that the documented annotations are about, and these annotations."""
    raw = checkout / "data" / "raw" / "my_videos"
    for number, (name, seconds) in enumerate((("holiday.mp4", HOLIDAY_S), ("kitchen.mov", KITCHEN_S), ("street.avi", STREET_S))):
        write_video(raw / "videos" / name, seed=number, seconds=seconds, tone_hz=None)
    (table,) = read_blocks("docs/train_on_my_annotations.md", "csv")
    (raw / "annotations.csv").write_text(table, encoding="utf-8")


def write_charades(folder: Path) -> None:
    """Write the published annotations of Charades-STA, of six videos of 20 s."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, videos in CHARADES.items():
        lines = [
            f"{video} {2 + 4 * number}.0 {6 + 4 * number}.0##{text}" for video in videos for number, text in enumerate(SENTENCES)
        ]
        (folder / f"charades_sta_{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        with (folder / f"Charades_v1_{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "length"), *((video, "20.0") for video in videos)])


def lay_out_charades(checkout: Path) -> None:
    """Put the published files of Charades-STA into the checkout: annotations, videos and features."""
    write_charades(checkout)
    for number, video in enumerate(video for videos in CHARADES.values() for video in videos):
        write_video(checkout / "Charades_v1_480" / f"{video}.mp4", seed=number, seconds=20, tone_hz=None)
    generator = np.random.default_rng(0)
    with h5py.File(checkout / "vgg_rgb_features.hdf5", "w") as file:
        for video in (video for videos in CHARADES.values() for video in videos):
            file[video] = generator.normal(size=(40, 4096)).astype(np.float32)
    preset = checkout / "presets" / "localizer" / "tan2d_charades_pool.yaml"
    smaller = {"num_cells": 16, "clips_per_cell": 1, "hidden_dim": 8, "num_layers": 1, "lstm_layers": 1, "max_epochs": 1}
    content = preset.read_text(encoding="utf-8")
    for name, value in smaller.items():
        content = re.sub(rf"(?m)^( *{name}): \d+", rf"\g<1>: {value}", content)
    preset.write_text(content, encoding="utf-8")


def lay_out_predictions(checkout: Path) -> None:
    """Write predictions and true moments of the test split of Charades-STA, and a second evaluation beside the checkout."""
    raw = checkout / "data" / "raw" / "charades"
    write_charades(raw)
    queries = [query for query in build_reader("charades_sta").read(raw).queries if query.split == "test"]
    truth = [
        {
            "qid": query.qid,
            "vid": query.video_id,
            "duration": 20.0,
            "query": query.text,
            "relevant_windows": [[span.start_s, span.end_s] for span in query.spans],
        }
        for query in queries
    ]
    _write_lines(checkout / "G.jsonl", truth)
    for name, start_s in (("P", 2.0), ("A", 2.0), ("B", 4.0)):
        windows = [[start_s, start_s + 4.0, 0.9], [10.0, 14.0, 0.5]]
        _write_lines(checkout / f"{name}.jsonl", [{**row, "pred_relevant_windows": windows} for row in truth])
    other = checkout.parent / "other" / "evaluation"
    shutil.copytree(checkout / "data" / "reports" / "evaluation", other, dirs_exist_ok=True)


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def add_documented_reader(checkout: Path) -> None:
    """Add the documented reader with a corpus of its own."""
    (code,) = read_blocks("docs/readers.md", "python")
    (checkout / "corpus" / "readers" / "lines.py").write_text(code, encoding="utf-8")
    _register(checkout / "corpus" / "readers" / "__init__.py", "corpus.readers.lines", "LinesParams")
    raw = checkout / "data" / "raw" / "my_lines"
    for number in range(3):
        write_video(raw / "videos" / f"v{number}.mp4", seed=number, seconds=5, tone_hz=None)
    (raw / "moments.txt").write_text("".join(f"v{number}.mp4 | 0 | 0:02.5 | A dog runs.\n" for number in range(3)))


def add_documented_localizer(checkout: Path) -> None:
    """Add the documented localizer with its preset."""
    (code,), (preset,) = (read_blocks("docs/extending.md", language) for language in ("python", "yaml"))
    (checkout / "models" / "localizers" / "middle_third.py").write_text(code, encoding="utf-8")
    (checkout / "presets" / "localizer" / "middle_third.yaml").write_text(preset, encoding="utf-8")
    _register(checkout / "models" / "localizers" / "__init__.py", "models.localizers.middle_third", "MiddleThirdParams")


def _register(registry: Path, module: str, name: str) -> None:
    """Import a component's schema in a registry and add it to the union."""
    content = registry.read_text(encoding="utf-8")
    content = content.replace("\nfrom ", f"\nfrom {module} import {name}\nfrom ", 1)
    added = re.sub(r"(Annotated\[\n)( +)(\w)", rf"\1\2{name}\n\2| \3", content, count=1)
    assert added != content, f"{registry} has no union on several lines"
    registry.write_text(added, encoding="utf-8")


def lay_out_vectors(checkout: Path) -> None:
    """Write a small archive of word vectors under the published name."""
    with zipfile.ZipFile(checkout / "glove.6B.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("glove.6B.300d.txt"), f"red {' '.join(['0.5'] * 300)}\n")


PLACES: dict[tuple[str, int], Callable[[Path], None]] = {  # page and block -> what is laid out before the block
    ("README.md", 1): lay_out_holiday,
    ("docs/compare_two_ideas.md", 0): lay_out_predictions,
    ("docs/corpora.md", 0): lay_out_charades,
    ("docs/encoders.md", 0): lay_out_holiday,
    ("docs/encoders.md", 7): lay_out_vectors,
    ("docs/evaluation.md", 0): lay_out_predictions,
    ("docs/extending.md", 1): add_documented_localizer,
    ("docs/features.md", 0): lay_out_charades,
    ("docs/readers.md", 1): add_documented_reader,
    ("docs/real_videos.md", 0): lay_out_holiday,
    ("docs/search_my_videos.md", 0): lay_out_holiday,
    ("docs/train_on_my_annotations.md", 0): lay_out_own_videos,
}

"""Cosines and CPU time of int8 towers of the size of ViT-B/32, beside those of 32 bits; writes int8.md.

    PYTHONPATH=.:tests:tests/benchmarks python tests/benchmarks/int8.py FOLDER --project /tmp/vit

FOLDER holds videos to calibrate with. The weights are random: published ones have other outliers, so their cosines differ, and
`cuepoint models fetch NAME --int8` measures them. `--project` keeps the exported models.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from index_speed import describe_machine, open_project
from numpy.typing import NDArray

from pipeline.published.int8 import Calibration, calibrate, compare, quantise
from search.bundle import Bundle, load_bundle
from search.networks import open_session

PAGE = Path(__file__).with_suffix(".md")
ROWS = 32  # inputs whose CPU time is measured, in turn
PRESETS = Path(__file__).parents[2] / "presets"
LEAST = 0.98  # cosine that the exporter asks for


class Row(NamedTuple):
    """One tower in both forms."""

    tower: str
    cosine: float  # the smallest of all inputs
    sizes_mb: tuple[float, float]  # of the files, 32 bits and int8
    cpu_ms: tuple[float, float]  # of an input


def measure_tower(tower: str, bundle: Bundle, values: dict[str, NDArray[Any]], folder: Path) -> Row:
    """Quantise a tower and compare it with its 32 bits."""
    source, target = bundle.network_path(tower), folder / f"{tower}.onnx"
    quantise(source, target)
    sessions = [open_session(path, num_threads=1) for path in (source, target)]
    ((name, inputs),) = values.items()
    cpu_s = [0.0, 0.0]
    for row in range(-1, min(ROWS, len(inputs))):  # the first turn warms up
        for number, session in enumerate(sessions):
            start_s = time.process_time()
            session.run(None, {name: inputs[max(row, 0)][None]})
            cpu_s[number] += (time.process_time() - start_s) * (row >= 0)
    first, second = (1000 * one / min(ROWS, len(inputs)) for one in cpu_s)
    sizes = source.stat().st_size / 1e6, target.stat().st_size / 1e6
    return Row(tower, compare(source, target, values), sizes, (first, second))


def measure(bundle: Bundle, calibration: Calibration) -> list[Row]:
    """Measure both towers of a bundle."""
    inputs: dict[str, dict[str, NDArray[Any]]] = {
        "encoder_video": {"clips": calibration.clips},
        "text_encoder": {"token_ids": calibration.token_ids},
    }
    with tempfile.TemporaryDirectory() as folder:
        return [measure_tower(tower, bundle, values, Path(folder)) for tower, values in inputs.items()]


def build_page(rows: list[Row], calibration: Calibration) -> str:
    """Return the page."""
    lines = [
        "# int8 towers of the size of ViT-B/32",
        "",
        f"`PYTHONPATH=.:tests:tests/benchmarks python tests/benchmarks/int8.py FOLDER`, {describe_machine()}",
        "",
        f"Random weights, {len(calibration.clips)} frames of videos and {len(calibration.token_ids)} sentences, one thread, both",
        f"forms in turn. `cuepoint models fetch NAME --int8` refuses a tower below a cosine of {LEAST}; published weights have",
        "other outliers than random ones, so it measures each model anew.",
        "",
        "| tower | smallest cosine | made | file, MB | int8, MB | CPU of an input, ms | int8, ms | int8 / 32 bits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for tower, cosine, sizes, cpu_ms in rows:
        cells = [f"{cosine:.4f}", "yes" if cosine >= LEAST else "refused", *(f"{one:.0f}" for one in sizes)]
        cells += [*(f"{one:.1f}" for one in cpu_ms), f"{cpu_ms[1] / cpu_ms[0]:.2f}"]
        lines.append(f"| {tower} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--project", type=Path, help="folder that keeps the exported models (default: a temporary one)")
    parser.add_argument("--frames", type=int, default=48, help="frames to compare, spread over the videos (default: 48)")
    options = parser.parse_args()
    with open_project(options.project) as project:
        bundle = load_bundle(project.bundle)
        found = calibrate(bundle, options.folder, PRESETS, say=print)
        chosen = np.unique(np.linspace(0, len(found.clips) - 1, options.frames).round().astype(int))
        calibration = found._replace(clips=found.clips[chosen])
        page = build_page(measure(bundle, calibration), calibration)
    print(page)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Speed of indexing with a picture tower of the size of ViT-B/32, compared with a bare loop; writes index_speed.md.

    PYTHONPATH=.:tests:tests/benchmarks python tests/benchmarks/index_speed.py --project /tmp/vit

The bare loop decodes a file with PyAV, prepares the same frames with Pillow, and runs the same network in batches of the same
size under onnxruntime. Both take turns in one process with one thread, so that the ratio holds under any load of the machine.
The weights are random; `--project` keeps the two gigabytes of the exported models for the next run.
"""

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import onnxruntime
from decode import draw_large
from figures_page import replace_figures
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from corpus.media import probe
from search.bundle import load_bundle
from search.indexing.encode_work import EncodeWork, KeepWork, hash_file
from search.indexing.video_cache import VideoCache
from search.indexing.video_indexer import CLIPS_PER_BATCH
from search.networks import open_session
from small_project import SmallProject
from vit_project import FLOPS_PER_FRAME, save_vit_project

PAGE = Path(__file__).with_suffix(".md")
KEPT = "## What the figures say"
SIZES = ((640, 360, 24), (1280, 720, 16))  # width, height, seconds
CORES = 2  # of the machine that the aim names
SIDE_PX = 224
MATRIX = 2048  # rows and columns of the product that measures the processor


class Cost(NamedTuple):
    """Time of a turn."""

    wall_s: float
    cpu_s: float


class Turn(NamedTuple):
    """One round: a bare loop and an indexing of the same file, and the speed of the processor between them."""

    bare: Cost
    ours: Cost
    gflops: float


def run_bare(path: Path, duration_s: float, session: Any) -> NDArray[np.float32]:
    """Return the features of one frame a second, (S, D): decode every frame, prepare those on display, run the tower."""
    parts, waiting = [], list[NDArray[np.uint8]]()
    for image in iter_prepared(path, duration_s):
        waiting.append(image)
        if len(waiting) == CLIPS_PER_BATCH:
            parts.append(run_tower(session, waiting))
            waiting = []
    if waiting:
        parts.append(run_tower(session, waiting))
    return np.concatenate(parts)


def run_tower(session: Any, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the features of prepared pictures, (S, D)."""
    features: NDArray[np.float32] = session.run(None, {"clips": np.stack(images)[:, None]})[0][:, 0]
    return features


def iter_prepared(path: Path, duration_s: float) -> Iterator[NDArray[np.uint8]]:
    """Yield the square of the frame on display at each half second."""
    times = iter((np.arange(int(duration_s)) + 0.5).tolist())
    wanted_s, shown = next(times), None
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            while shown is not None and wanted_s is not None and frame.time > wanted_s + 1e-6:
                yield prepare(shown)
                wanted_s = next(times, None)
            if wanted_s is None:
                return
            shown = frame
    while wanted_s is not None:
        yield prepare(shown)
        wanted_s = next(times, None)


def prepare(frame: Any) -> NDArray[np.uint8]:
    """Return the square that the processor of CLIP makes of a frame."""
    picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
    shorter = min(picture.size)
    width, height = (SIDE_PX * side // shorter for side in picture.size)
    left, top = (width - SIDE_PX) // 2, (height - SIDE_PX) // 2
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + SIDE_PX, top + SIDE_PX)))


def measure(work: Callable[[], Any]) -> Cost:
    """Time a piece of work of this process."""
    start_s, cpu_s = time.monotonic(), time.process_time()
    work()
    return Cost(time.monotonic() - start_s, time.process_time() - cpu_s)


def measure_processor() -> float:
    """Return the GFLOP/s of one thread on a product of float32 matrices, by its CPU time."""
    matrix = np.random.default_rng(0).standard_normal((MATRIX, MATRIX), dtype=np.float32)
    with threadpool_limits(1):
        return 2 * MATRIX**3 / measure(lambda: matrix @ matrix).cpu_s / 1e9


def take_turns(path: Path, bundle_dir: Path, rounds: int) -> Iterator[Turn]:
    """Index a file and run the bare loop on it, in changing order; the first, unmeasured round compares their features."""
    bundle, duration_s = load_bundle(bundle_dir), probe(path).duration_s
    session = open_session(bundle.network_path("encoder_video"), num_threads=1)
    kept: list[Any] = []

    def index() -> None:
        with tempfile.TemporaryDirectory() as folder:
            cache, file = VideoCache(Path(folder), bundle.manifest), hash_file(path)
            KeepWork(EncodeWork(bundle_dir, bundle.version, {path: file}), cache)(path, lambda share: None)
            kept.append(np.array(cache.load(file.sha256).vectors))

    features = run_bare(path, duration_s, session)
    index()
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    if kept[0].shape != expected.shape or (worst := (kept[0] * expected).sum(axis=1).min()) < 0.995:
        raise ValueError(f"the two loops encode different frames: {kept[0].shape}, {expected.shape}, {worst}")
    for number in range(rounds):
        contenders = [lambda: run_bare(path, duration_s, session), index]
        costs = [measure(contenders[place]) for place in ((0, 1) if number % 2 == 0 else (1, 0))]
        bare, ours = costs if number % 2 == 0 else reversed(costs)
        yield Turn(bare, ours, measure_processor())


def describe(label: str, seconds: int, turns: list[Turn]) -> list[str]:
    """Return the row of a size, and a sentence about it."""
    by_cpu, by_wall = ([turn.bare[field] / turn.ours[field] for turn in turns] for field in (1, 0))
    cpu_s, wall_s = (statistics.median(turn.ours[field] for turn in turns) for field in (1, 0))
    tower_s = statistics.median(FLOPS_PER_FRAME * seconds / turn.gflops / 1e9 for turn in turns)
    cells = [label, show_interval(by_cpu), show_interval(by_wall), f"{1000 * cpu_s / seconds:.0f}"]
    cells += [f"{1000 * tower_s / seconds:.0f}", f"{CORES * seconds / cpu_s:.1f}", f"{seconds / wall_s:.1f}"]
    return cells


def show_interval(values: list[float]) -> str:
    """Return the median with the smallest and the largest value."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


@contextmanager
def open_project(folder: Path | None) -> Iterator[SmallProject]:
    """Build the project of the tower, or use the one in a folder."""
    with tempfile.TemporaryDirectory() as other:
        root = folder or Path(other)
        yield SmallProject(root) if (root / "index").is_dir() else save_vit_project(root)


def describe_machine() -> str:
    """Return commit, machine and load in one line."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    cores = len(os.sched_getaffinity(0))
    versions = f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}, PyAV {av.__version__}"
    return f"at {commit}; {cores} cores, {versions}; load {os.getloadavg()[0] / cores:.1f} per core."


def build_page(rows: list[list[str]], gflops: list[float], rounds: int) -> list[str]:
    """Return the lines of the page before its conclusions."""
    return [
        "# Speed of indexing, compared with a bare loop",
        "",
        f"`PYTHONPATH=.:tests:tests/benchmarks python tests/benchmarks/index_speed.py`, {describe_machine()}",
        "",
        f"Medians of {rounds} alternating rounds in one process with one thread; in brackets the lowest and the highest round.",
        f"The tower is that of CLIP ViT-B/32 with random weights: {FLOPS_PER_FRAME / 1e9:.1f} GFLOP a frame, one frame a second.",
        f"The processor multiplies matrices at {show_interval(gflops)} GFLOP/s a core. *At the peak* is the time of the tower at",
        "that speed. Videos are H.264 with B-frames, 30 frames a second, a key frame every 250 frames, with AAC sound.",
        "",
        "| | bare / indexing, CPU | bare / indexing, wall | CPU of a second of video, ms | of it the tower at the peak, ms "
        f"| times real time, {CORES} idle cores | times real time, here, 1 thread |",
        "|---|---|---|---|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def main() -> None:
    """Measure each size and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each size (default: 5)")
    parser.add_argument("--project", type=Path, help="folder that keeps the exported models (default: a temporary one)")
    parser.add_argument("--dry", action="store_true", help="print the page without writing it")
    options = parser.parse_args()
    rows, gflops = [], list[float]()
    with open_project(options.project) as project, tempfile.TemporaryDirectory() as folder:
        for width, height, seconds in SIZES:
            path = draw_large(Path(folder), width, height, seconds, tone_hz=440.0)
            turns = list[Turn]()
            for turn in take_turns(path, project.bundle, options.rounds):
                print(width, turn, flush=True)
                turns.append(turn)
            gflops += [turn.gflops for turn in turns]
            rows.append(describe(f"{width} x {height}", seconds, turns))
    lines = build_page(rows, gflops, options.rounds)
    if options.dry:
        print("\n".join(lines))
        return
    replace_figures(PAGE, lines, kept=KEPT)


if __name__ == "__main__":
    main()

"""Memory of encoding a two-hour file with a tower of the size of ViT-B/32; writes long_files.md.

    PYTHONPATH=.:tests:tests/benchmarks python tests/benchmarks/long_files.py --project /tmp/vit

The video changes for some seconds and then stands still, at one picture a second. `reuse_below` spares the still part, so that
the run takes minutes: memory holds one batch either way. The weights are random; `--project` keeps the exported models.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import psutil
from index_speed import describe_machine, open_project
from process_memory import sample

from flat_videos import Flat, fill_frame

PAGE = Path(__file__).with_suffix(".md")
SECONDS = 7200  # of the video
MOVING_S = 40  # of its start, which changes from second to second
LIMIT_MIB = 1024
SAMPLE_S = 0.5  # listing all processes of the machine costs time
ENCODE = """
import sys
from pathlib import Path
from search.bundle import Bundle, load_bundle
from search.indexing.unfinished import UnfinishedFile
from search.indexing.video_indexer import VideoIndexer

bundle, path, kept = load_bundle(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
stream = bundle.manifest.streams["video"]
sampling = stream.sampling.model_copy(update={"reuse_below": 1.0})
streams = {"video": stream.model_copy(update={"sampling": sampling})}
indexer = VideoIndexer(Bundle(bundle.folder, bundle.manifest.model_copy(update={"streams": streams})))
print(indexer.encode_file(path, report=lambda share: None, unfinished=UnfinishedFile(kept, "a")).num_clips)
"""


class Run(NamedTuple):
    """The result of a process that was watched."""

    output: str
    peak_bytes: int  # the largest sum of resident memory over its tree; shared pages count once a process
    cpu_s: float
    processes: int  # the most at once


def write_long(path: Path, *, size: tuple[int, int] = (640, 360), seconds: int = SECONDS) -> Path:
    """Write a video of one picture a second: first of changing colour, then still."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        colours = np.random.default_rng(0).integers(40, 200, (MOVING_S, 3)).tolist()
        frames = [fill_frame(Flat((first, second, third), size=size)) for first, second, third in colours]
        for number in range(seconds):
            frame = frames[min(number, MOVING_S - 1)]
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def watch(command: list[str], *, cwd: Path, environment: dict[str, str]) -> Run:
    """Run a command to its end and watch the memory of its process tree.

    Raises:
        subprocess.CalledProcessError: when it fails.
    """
    before = os.times()
    with subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True) as process:
        tree = psutil.Process(process.pid)
        with sample(lambda: read_tree(tree), period_s=SAMPLE_S) as samples:
            output, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(output, max(held for held, _ in samples), cpu_s, max(number for _, number in samples))


def read_tree(process: psutil.Process) -> tuple[int, int]:
    """Return the resident memory of a process and all its descendants, and how many they are; 0 of those that ended."""
    total, number = 0, 0
    try:
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0, 0
    for one in tree:
        try:
            total += one.memory_info().rss
            number += 1
        except psutil.NoSuchProcess:
            continue
    return total, number


def measure(bundle: Path, folder: Path) -> Run:
    """Encode two hours in a process of its own."""
    path = write_long(folder / "long.mp4")
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", ENCODE, str(bundle), str(path), str(folder / "kept")]
    return watch(command, cwd=root, environment=os.environ | {"PYTHONPATH": str(root)})


def build_page(run: Run) -> str:
    """Return the page."""
    peak_mib = run.peak_bytes / 2**20
    lines = [
        "# Memory of a two-hour file",
        "",
        f"`PYTHONPATH=.:tests:tests/benchmarks python tests/benchmarks/long_files.py`, {describe_machine()}",
        "",
        "Two hours of 640 x 360, one picture a second, with the tower of CLIP ViT-B/32 and random weights. The first",
        f"{MOVING_S} s change from second to second; the rest stands still and reuses features (`reuse_below` 1), but for each",
        "16th clip.",
        "",
        "| clips | processes | peak of resident memory, MiB | limit, MiB | CPU, s |",
        "|---|---|---|---|---|",
        f"| {run.output.strip()} | {run.processes} | {peak_mib:.0f} | {LIMIT_MIB} | {run.cpu_s:.0f} |",
        "",
        "`tests/search/indexing/test_long_files.py` holds `cuepoint index` to the same limit with small networks, and kills it",
        "inside the file.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, help="folder that keeps the exported models (default: a temporary one)")
    parser.add_argument("--dry", action="store_true", help="print the page without writing it")
    options = parser.parse_args()
    with open_project(options.project) as project, tempfile.TemporaryDirectory() as folder:
        page = build_page(measure(project.bundle, Path(folder)))
    print(page)
    if not options.dry:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

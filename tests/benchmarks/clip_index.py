"""Cost of the clip index, now and at 1 M and 10 M clips: python tests/benchmarks/clip_index.py DATA [--page].

DATA holds bundle/, index/ and corpus/ of the drawn corpus. Larger collections are drawn around its clips (drawn_clips.py).
Queries are sentences of the test split. Building and searching run in separate processes, whose memory the kernel counts.
"""

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from drawn_clips import CLIPS_PER_VIDEO, Source, describe_neighbours, fit_step, write_clips
from figures_page import replace_figures
from process_memory import read_status

from corpus.records import load_corpus
from corpus.store import Fingerprint
from search.bundle import load_bundle
from search.clip_index import ClipLayout, FaissClipIndex
from search.clip_index.searchers import FLAT_ROWS, FlatSearcher, IvfSearcher
from search.clip_index.segment import Segment
from search.collection import load_collection
from search.networks import Networks

PAGE = Path(__file__).with_suffix(".md")
SIZES = (36_000, 200_000, 1_000_000, 10_000_000)
NUM_QUERIES, NUM_WINDOWS, NUM_HITS, NUM_EXACT = 300, 20, 320, 100
FLAT_SECONDS = 60  # limit for searches of an exact index


class Figures(NamedTuple):
    """Cost of a collection of one size."""

    num_clips: int
    kind: str
    build_s: float
    build_cpu_s: float
    build_mib: float
    file_mib: float
    load_s: float
    held_mib: float
    peak_mib: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    scanned_mb: float
    clip_recall: float
    window_recall: float


def read_source(data: Path) -> tuple[Source, dict[str, float]]:
    """Return the real collection with sentences, and its figures per hour of video."""
    bundle = load_bundle(data / "bundle")
    collection = load_collection(data / "index", bundle.manifest)
    clips = np.concatenate([collection.clips.get_vectors(name) for name in collection.videos])
    video_of_row = np.repeat(
        np.arange(len(collection.videos)), [collection.clips.count_clips(name) for name in collection.videos]
    )
    texts = [query.text for query in load_corpus(data / "corpus").queries if query.split == "test"][:NUM_QUERIES]
    networks = Networks(bundle)
    queries = np.concatenate([networks.embed_queries(networks.encode_text(bundle.tokenizer.encode([text]))) for text in texts])
    hours = sum(video.duration_s for video in collection.videos.values()) / 3600
    sizes = {path.name: path.stat().st_size for path in (data / "index").glob("files-*/*")}
    facts = {
        "videos": len(collection.videos),
        "clips": len(clips),
        "hours": hours,
        "vectors_mb_per_hour": sizes["clips.safetensors"] / hours / 1e6,
        "cells_mb_per_hour": sum(size for name, size in sizes.items() if name.startswith("cells-")) / hours / 1e6,
    }
    return Source(clips, video_of_row, queries, fit_step(clips, video_of_row)), facts


def build(folder: Path, kind: str) -> dict[str, float]:
    """Build an index in this process; for an approximate one, write its lists."""
    vectors = np.load(folder / "clips.npy", mmap_mode="r")
    before, wall_s, cpu_s = read_status("VmRSS"), time.perf_counter(), time.process_time()
    if kind == "flat":
        FlatSearcher(vectors)
        size = 0
    else:
        IvfSearcher.build(vectors).save(folder / "lists.faiss")
        size = (folder / "lists.faiss").stat().st_size
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return {
        "build_s": wall_s,
        "build_cpu_s": cpu_s,
        "build_mib": (read_status("VmHWM") - before) / 2**20,
        "file_mib": (size + vectors.nbytes) / 2**20,
    }


def open_index(folder: Path, kind: str) -> FaissClipIndex:
    """Open an index whose vectors stay in their file."""
    vectors = np.load(folder / "clips.npy", mmap_mode="r")
    searcher = FlatSearcher(vectors) if kind == "flat" else IvfSearcher.load(vectors, folder / "lists.faiss")
    starts = range(0, len(vectors), CLIPS_PER_VIDEO)
    counts = {f"v{number}": min(CLIPS_PER_VIDEO, len(vectors) - start) for number, start in enumerate(starts)}
    fingerprint = Fingerprint(identity={}, environment={})
    return FaissClipIndex(Segment(vectors, counts, searcher), ClipLayout(counts, 2.0, {}), fingerprint=fingerprint)


def search(folder: Path, kind: str) -> dict[str, Any]:
    """Load an index and search in this process; searches of a large exact index stop after a minute."""
    before, start_s = read_status("VmRSS"), time.perf_counter()
    index = open_index(folder, kind)
    load_s, queries = time.perf_counter() - start_s, np.load(folder / "queries.npy")
    segment = index._base
    index.search_windows(queries[0], NUM_WINDOWS)
    times, windows, clips, began_s = [], [], [], time.perf_counter()
    for query in queries:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        found = index.search_windows(query, NUM_WINDOWS)
        times.append((1e3 * (time.perf_counter() - wall_s), 1e3 * (time.process_time() - cpu_s)))
        windows.append([window.video_id for window, _ in found])
        if len(clips) < NUM_EXACT:
            clips.append(segment.searcher.search(query, NUM_HITS, None).rows.tolist())
        elif time.perf_counter() - began_s > FLAT_SECONDS:
            break
    walls, cpus = np.array(times).T
    return {
        "load_s": load_s,
        "held_mib": read_status("RssAnon") / 2**20,
        "peak_mib": (read_status("VmHWM") - before) / 2**20,
        "cpu_ms": float(np.median(cpus)),
        "p50_ms": float(np.quantile(walls, 0.5)),
        "p99_ms": float(np.quantile(walls, 0.99)),
        "scanned_mb": (segment.vectors.nbytes if kind == "flat" else count_scanned(segment.searcher)) / 1e6,
        "windows": windows,
        "clips": clips,
    }


def count_scanned(searcher: Any) -> float:
    """Return the bytes of centres and codes that a search reads."""
    index, width = searcher._index, searcher._vectors.shape[1]
    probes = searcher._choose_num_probes(NUM_HITS)
    return float(index.nlist * width * 4 + probes * index.ntotal / index.nlist * (width + 8))


def run_apart(work: Callable[[Path, str], dict[str, Any]], folder: Path, kind: str) -> dict[str, Any]:
    """Run a measurement in a separate process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (folder, kind))


def measure_bandwidth() -> float:
    """Return the memory bandwidth of a thread in GB per second of CPU time: the best of ten passes over 512 MB."""
    block = np.ones(1 << 27, dtype=np.float32)
    best = float("inf")
    for _ in range(10):
        start_s = time.process_time()
        block.max()
        best = min(best, time.process_time() - start_s)
    return block.nbytes / best / 1e9


def compare(found: Any, exact: Any) -> float:
    """Return the mean share of exact answers that the index found."""
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=False)]))


def measure(source: Source, num_clips: int, scratch: Path) -> list[Figures]:
    """Return the figures of the exact and of the approximate index."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        write_clips(source, num_clips, folder / "clips.npy")
        np.save(folder / "queries.npy", source.queries)
        rows: list[Figures] = []
        exact: dict[str, Any] = {}
        for kind in ("flat", "lists"):
            built, searched = run_apart(build, folder, kind), run_apart(search, folder, kind)
            answers = {name: searched.pop(name) for name in ("clips", "windows")}
            exact = exact or answers
            recalls = {f"{name[:-1]}_recall": compare(answers[name], exact[name]) for name in exact}
            rows.append(Figures(num_clips=num_clips, kind=kind, **built, **searched, **recalls))
            print(json.dumps(rows[-1]._asdict()), flush=True)
        return rows


def write_lines(rows: list[Figures], facts: dict[str, float], nearest: tuple[float, float], bandwidth: float) -> list[str]:
    """Return the page."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    lines = [
        "# Cost of the clip index, now and at larger sizes",
        "",
        f"`python tests/benchmarks/clip_index.py DATA --page`, at {commit}.",
        "",
        f"{os.cpu_count()} cores, Python {platform.python_version()}, faiss {faiss.__version__}; load average",
        f"{os.getloadavg()[2]:.1f} during the run. The machine was busy: trust CPU times and ratios, not wall times and p99.",
        "",
        "## Per hour of video",
        "",
        f"The drawn corpus: {facts['videos']:.0f} videos, {facts['hours']:.2f} hours, {facts['clips']:.0f} clips, two a second.",
        "",
        "| size per hour of video | MB |",
        "|---|---|",
        f"| clip vectors, 64 numbers of 4 bytes | {facts['vectors_mb_per_hour']:.2f} |",
        f"| in memory, in lists with one byte a number | {facts['clips'] / facts['hours'] * 72 / 1e6:.2f} |",
        f"| the localizer's cells, on disk | {facts['cells_mb_per_hour']:.1f} |",
        "",
        "## Growth",
        "",
        "Simulated clips are drawn around real clips. The similarity of a clip to the nearest clip of another video has the",
        f"median {nearest[0]:.3f} in the real collection and {nearest[1]:.3f} in a simulated collection of the same size.",
        f"A search asks for {NUM_WINDOWS} windows and therefore for 320 clips first. Recall of clips and windows is relative to",
        f"the exact index. *Scanned* is the data that a search must read. A thread reads {bandwidth:.1f} GB per second of CPU",
        "time, which gives the column *least*. *Held* is the private memory of the process (RssAnon) with the index loaded,",
        "40 MiB of it Python; the vectors are in a mapped file. *Peak* is VmHWM above the memory held before. Each search",
        "spends at least half a millisecond in Python, sorting hits into windows; this dominates searches that scan few bytes.",
        "",
        "| clips | hours | index | build, s | CPU, s | peak of build, MiB | load, s | held, MiB | file, MiB "
        "| CPU, ms | p50, ms | p99, ms | scanned, MB | least, ms | CPU over least | clips found | windows found |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return lines + [format_row(row, bandwidth) for row in rows]


def format_row(row: Figures, bandwidth: float) -> str:
    """Return a row of the table."""
    least = row.scanned_mb / bandwidth
    name = "exact" if row.kind == "flat" else "lists"
    return (
        f"| {row.num_clips:,} | {row.num_clips / 7200:,.0f} | {name} | {row.build_s:.1f} | {row.build_cpu_s:.1f} "
        f"| {row.build_mib:.0f} | {row.load_s:.1f} | {row.held_mib:.0f} | {row.file_mib:.0f} | {row.cpu_ms:.2f} "
        f"| {row.p50_ms:.1f} | {row.p99_ms:.1f} | {row.scanned_mb:.1f} | {least:.2f} | {row.cpu_ms / least:.1f} "
        f"| {row.clip_recall:.4f} | {row.window_recall:.4f} |"
    )


def main() -> None:
    """Measure, print, and write the measured part of the page with --page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with bundle/, index/ and corpus/")
    parser.add_argument("--clips", type=int, nargs="+", default=list(SIZES), help="sizes of the simulated collections")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="folder with room for 332 bytes a clip")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE.name}, above its plan")
    options: Any = parser.parse_args()
    source, facts = read_source(options.data)
    nearest = describe_neighbours(source)
    print(f"facts {facts}, nearest {nearest}, step {source.step:.3f}", flush=True)
    bandwidth = measure_bandwidth()
    print(f"bandwidth {bandwidth:.1f} GB/s, lists beyond {FLAT_ROWS} clips", flush=True)
    rows = [row for num_clips in options.clips for row in measure(source, num_clips, options.scratch)]
    lines = write_lines(rows, facts, nearest, bandwidth)
    print("\n".join(lines))
    if options.page:
        replace_figures(PAGE, lines, kept="## Beyond")


if __name__ == "__main__":
    main()

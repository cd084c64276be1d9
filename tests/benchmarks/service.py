"""Latency, load and start of the search service; writes service.md from the records in service.json, beside this file.

    PYTHONPATH=.:tests python tests/benchmarks/service.py speed    # p50, p99, searches a second: about five minutes
    PYTHONPATH=.:tests python tests/benchmarks/service.py load     # ten minutes of wrk (Debian: apt-get install wrk)
    PYTHONPATH=.:tests python tests/benchmarks/service.py start    # CPU seconds of make serve and make ui, in --checkout

`speed` and `load` serve the bundle, index and sentences of a finished pipeline, --data (default: data), with the settings of
production. Run them on an idle machine: the record contains its load.
"""

import argparse
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime
import psutil
from service_load import press
from service_speed import BATCH_SIZE, Load, Plan, measure
from service_start import measure_starts

from corpus.files import read_json, write_json
from corpus.records import load_corpus
from loopback import SERVICE, Server, start_server, stop_server
from search.predictor import MomentPredictor
from vit_project import save_vit_project

RECORDS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_suffix(".md")
THREADS = 2
CLIENTS = 8
TARGET_OVERHEAD_MS, TARGET_SPEEDUP = 10, 20
WARM_UP_S = 60  # of load, after which the memory must stay flat
MAX_GROWTH = 0.02  # of the memory after the warm-up
PAIR = (
    "Both towers have the architecture of CLIP ViT-B/32 and random weights: the answers mean nothing, only the times count. "
    "The localizer is the training-free readout of window contrasts."
)


@contextmanager
def serve(data_dir: Path, **more: str) -> Iterator[Server]:
    """Serve the collection of a finished pipeline with the settings of production and additional variables."""
    places = {"CUEPOINT_BUNDLE": "bundle", "CUEPOINT_INDEX": "index", "CUEPOINT_MEDIA_ROOT": "raw"}
    with tempfile.TemporaryDirectory() as home:
        variables = more | {name: str((data_dir / folder).resolve()) for name, folder in places.items()}
        server = start_server(SERVICE, Path(home), CUEPOINT_THREADS=str(THREADS), **variables)
        try:
            server.wait_until_ready()
            yield server
        finally:
            stop_server(server)


def describe_run(data_dir: Path) -> dict[str, Any]:
    """Return the context of a record: commit, machine, collection, and the load of the machine before the run."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    index = read_json(data_dir / "index" / "index.json")
    cores = len(os.sched_getaffinity(0))
    return {
        "commit": commit,
        "cores": cores,
        "machine": f"{cores} cores, Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}",
        "videos": index["num_videos"],
        "clips": index["num_clips"],
        "busy": round(os.getloadavg()[0] / cores, 2),
    }


def run_speed(data_dir: Path, plan: Plan) -> dict[str, Any]:
    """Measure the latency of single answers."""
    about, queries = describe_run(data_dir), list_sentences(data_dir)
    predictor = MomentPredictor.load(data_dir / "bundle", data_dir / "index", num_threads=THREADS)
    shadow = {"CUEPOINT_CHALLENGER": str(data_dir.resolve()), "CUEPOINT_CHALLENGER_MODE": "shadow"}
    with serve(data_dir) as alone, serve(data_dir, **shadow) as beside:
        loads = {
            "HTTP, 1 client": Load(alone.url, find_worker(alone), 1),
            f"HTTP, {CLIENTS} clients": Load(alone.url, find_worker(alone), CLIENTS),
            "HTTP, 1 client, with a shadow": Load(beside.url, find_worker(beside), 1),
        }
        times = measure(loads, predictor, queries, plan, num_threads=THREADS)
    return about | {"rounds": plan.rounds, "times": times}


def run_load(data_dir: Path, seconds: int) -> dict[str, Any]:
    """Measure the service under load."""
    about, queries = describe_run(data_dir), list_sentences(data_dir)
    with serve(data_dir) as server:
        return about | press(server.url, find_worker(server).pid, queries, num_clients=CLIENTS, seconds=seconds)


def run_start(checkout: Path, rounds: int) -> dict[str, Any]:
    """Measure the start in a finished checkout, which may have earlier code."""
    commit = subprocess.run(
        ["git", "log", "-1", "--format=%h", "--", "serving"], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout.strip()
    about = describe_run(checkout / "data") | {"commit": commit}
    return about | {"rounds": rounds, "cpu_s": measure_starts(checkout.resolve(), rounds)}


def find_worker(server: Server) -> psutil.Process:
    """Return the worker process that computes the answers."""
    (worker,) = server.find_children()
    return psutil.Process(worker)


def list_sentences(data_dir: Path) -> list[str]:
    """Return the sentences of the test split, each once."""
    return sorted({query.text for query in load_corpus(data_dir / "corpus").of_split("test").queries})


def build_page(records: dict[str, Any]) -> str:
    """Return service.md."""
    parts = ["# Latency and stability of the search service"]
    parts += [build_speed(records["speed"])] if "speed" in records else []
    parts += [build_load(records["load"], "Under load")] if "load" in records else []
    parts += (
        [build_load(records["load of a pair"], "Under load, with a CLIP of the size of ViT-B/32")]
        if "load of a pair" in records
        else []
    )
    parts += [build_start(records["start"], records.get("start before"))] if "start" in records else []
    return "\n\n".join(parts) + "\n"


def build_speed(record: dict[str, Any]) -> str:
    """Return the section on single answers."""
    times = record["times"]
    rows = [
        f"| {name} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} | {one['cpu_ms']:.1f} | {one.get('per_s', '')} |"
        for name, one in sorted(times.items(), key=lambda item: float(item[1]["p50_ms"]))
    ]
    alone, bare, everything = times["HTTP, 1 client"], times["bare networks"], times["all videos"]
    batch, one_by_one = times[f"in process, {BATCH_SIZE} at once"], times["in process"]
    overhead_ms, work_ms = (alone[name] - bare[name] for name in ("p50_ms", "cpu_ms"))
    speedup = everything["p50_ms"] / alone["p50_ms"]
    busy = times[f"HTTP, {CLIENTS} clients"]
    most_per_s = 1000 * record["cores"] / busy["cpu_ms"]
    return "\n".join(
        [
            "## Single answers",
            "",
            f"`PYTHONPATH=.:tests python tests/benchmarks/service.py speed`, {describe_record(record)}",
            "",
            f"`POST /search` with `top_k` 5, sentences of the test split over all {record['videos']} drawn videos "
            f"({record['clips']} clips), warm; {record['rounds']} turns. *Bare networks*: text encoder, retriever and localizer",
            "on prepared inputs. *In process*: `MomentPredictor.search`. *All videos*: the localizer reads every video.",
            "*With a shadow*: equal models repeat the work in the background at the lowest priority; their CPU time counts.",
            "",
            "| | p50, ms | p99, ms | CPU, ms | searches a second |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"The service adds {overhead_ms:.1f} ms at p50 to the bare networks (target: below {TARGET_OVERHEAD_MS}; "
            f"{work_ms:.1f} ms of work), and is {speedup:.1f} times as fast as scoring every video (target: {TARGET_SPEEDUP}).",
            f"A sentence takes {batch['p50_ms']:.1f} ms in a batch of {BATCH_SIZE} and {one_by_one['p50_ms']:.1f} ms alone, "
            "so the service does not batch simultaneous searches.",
            f"The CPU time of a search allows {most_per_s:.1f} searches a second on {record['cores']} cores; "
            f"{CLIENTS} clients get {busy['per_s'] / most_per_s:.0%} of that.",
        ]
    )


def build_load(record: dict[str, Any], title: str) -> str:
    """Return a section on load; a record names the pair whose weights are random, if there is one."""
    warm_up_s = min(WARM_UP_S, record["seconds"] / 3)
    minutes = [(seconds, held) for seconds, held in record["memory"] if seconds >= warm_up_s]
    shown = minutes[:: max(1, len(minutes) // 10)]
    growth = minutes[-1][1] / minutes[0][1] - 1
    cpu = f", {record['cpu_ms']:.0f} ms of CPU a request" if "cpu_ms" in record else ""
    return "\n".join(
        [
            f"## {title}",
            "",
            f"`PYTHONPATH=.:tests python tests/benchmarks/service.py {record.get('options', 'load')}`, {describe_record(record)}",
            "",
            *([PAIR, ""] if "options" in record else []),
            f"`wrk` with {record['clients']} clients for {record['seconds']} s: {record['requests']} requests, "
            f"{record['errors']} errors, {record['per_s']:.1f} a second, p50 {record['p50_ms']:.0f} ms, "
            f"p99 {record['p99_ms']:.0f} ms{cpu}.",
            f"The memory of the service grows by {100 * growth:.1f} % after the first {warm_up_s:.0f} s "
            f"(limit: {100 * MAX_GROWTH:.0f} %; no error is allowed):",
            "",
            "| second | " + " | ".join(f"{seconds:.0f}" for seconds, _ in shown) + " |",
            "|---|" + "---|" * len(shown),
            "| MiB | " + " | ".join(f"{held / 2**20:.0f}" for _, held in shown) + " |",
        ]
    )


def build_start(record: dict[str, Any], before: dict[str, Any] | None) -> str:
    """Return the section on the start, compared with earlier code."""
    old = before["cpu_s"] if before else {}
    rows = []
    for name, cpu_s in record["cpu_s"].items():
        compared = (f"{old[name]:.1f}", f"{cpu_s / old[name]:.2f}") if name in old else ("", "")
        rows.append(f"| {name} | {compared[0]} | {cpu_s:.1f} | {compared[1]} |")
    return "\n".join(
        [
            "## Starting",
            "",
            f"`PYTHONPATH=.:tests python tests/benchmarks/service.py start`, {describe_record(record)}",
            "",
            "CPU time of all processes until the service, or the page of the runs, answers: the minimum of "
            f"{record['rounds']} rounds, with {record['videos']} videos. *The first time* unpacks the bento.",
            f"*Before* is {before['commit']}, on the same machine." if before else "",
            "",
            "| | before, s | now, s | now / before |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def describe_record(record: dict[str, Any]) -> str:
    """Return the commit, machine and load of a record in one line."""
    return f"at {record['commit']}; {record['machine']}; load before the run {record['busy']} per core."


def main() -> None:
    """Run one of the three measurements and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "load", "start"))
    parser.add_argument("--data", type=Path, default=Path("data"), help="artefacts of a finished pipeline (default: data)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of `speed` (default: 5)")
    parser.add_argument("--requests", type=int, default=100, help="requests of a client in a turn of `speed` (default: 100)")
    parser.add_argument("--seconds", type=int, default=600, help="duration of `load` (default: 600)")
    parser.add_argument("--checkout", type=Path, default=Path(), help="finished checkout for `start` (default: this folder)")
    parser.add_argument("--before", action="store_true", help="record `start` as the earlier code of the comparison")
    parser.add_argument(
        "--pair", action="store_true", help="measure `load` with the pair of tests/vit_project.py, kept in --data"
    )
    parser.add_argument("--dry", action="store_true", help="print the section without keeping the record")
    options = parser.parse_args()
    if options.what == "speed":
        record = run_speed(options.data, Plan(options.rounds, options.requests, exhaustive=3))
    elif options.what == "load":
        if options.pair and not (options.data / "index").is_dir():
            save_vit_project(options.data)
        record = run_load(options.data, options.seconds)
    else:
        record = run_start(options.checkout, options.rounds)
    if options.dry:
        print(build_page({options.what: record}))
        return
    name = "start before" if options.what == "start" and options.before else options.what
    if options.pair:
        name, record = "load of a pair", record | {"options": "load --pair"}
    records = (read_json(RECORDS) if RECORDS.exists() else {}) | {name: record}
    write_json(RECORDS, records)
    PAGE.write_text(build_page(records), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

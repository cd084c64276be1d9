"""Measures the search service and writes service.md from the records in service.json, both beside this file.

    PYTHONPATH=.:tests python tests/benchmarks/service.py speed    # p50, p99, searches a second: about five minutes
    PYTHONPATH=.:tests python tests/benchmarks/service.py load     # ten minutes of wrk (Debian: apt-get install wrk)

Both take the bundle, index and sentences of a finished pipeline, --data (default: data), and serve it as it is served. The
machine should have nothing else to do: the record says how busy it was.
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

from corpus.files import read_json, write_json
from corpus.records import load_corpus
from loopback import SERVICE, Server, start_server, stop_server
from serving.predictor import MomentPredictor

RECORDS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_suffix(".md")
THREADS = 2
CLIENTS = 8
TARGET_OVERHEAD_MS, TARGET_SPEEDUP = 10, 20
WARM_UP_S = 60  # of the load, after which the memory must be flat
MAX_GROWTH = 0.02  # of the memory, from then on


@contextmanager
def serve(data_dir: Path, **more: str) -> Iterator[Server]:
    """Serve the collection of a finished pipeline, as it is served to people, with more variables."""
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
    """Return what a record belongs to: commit, machine, collection, and how busy the machine was before."""
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
    """Measure single answers."""
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
    """Measure minutes of load."""
    about, queries = describe_run(data_dir), list_sentences(data_dir)
    with serve(data_dir) as server:
        return about | press(server.url, find_worker(server).pid, queries, num_clients=CLIENTS, seconds=seconds)


def find_worker(server: Server) -> psutil.Process:
    """Return the process that computes the answers."""
    (worker,) = server.find_children()
    return psutil.Process(worker)


def list_sentences(data_dir: Path) -> list[str]:
    """Return the sentences of the test split, each once."""
    return sorted({query.text for query in load_corpus(data_dir / "corpus").of_split("test").queries})


def build_page(records: dict[str, Any]) -> str:
    """Return service.md."""
    parts = ["# The speed and the steadiness of the search service"]
    parts += [build_speed(records["speed"])] if "speed" in records else []
    parts += [build_load(records["load"])] if "load" in records else []
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
            "on inputs that are ready. *In process*: `MomentPredictor.search`. *All videos*: the localizer reads each of them.",
            "*With a shadow*: equal models compute the same in the background, at the lowest priority; their work counts.",
            "",
            "| | p50, ms | p99, ms | processors, ms | a second |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"The service adds {overhead_ms:.1f} ms at p50 to the bare networks (target: below {TARGET_OVERHEAD_MS}; "
            f"{work_ms:.1f} ms of work), and is {speedup:.1f} times as fast as scoring every video (target: {TARGET_SPEEDUP}).",
            f"A sentence in a batch of {BATCH_SIZE} takes {batch['p50_ms']:.1f} ms, alone {one_by_one['p50_ms']:.1f} ms: "
            "single searches that come at once are not put together.",
            f"{record['cores']} processors can do the work of {most_per_s:.1f} searches a second; {CLIENTS} clients get "
            f"{busy['per_s'] / most_per_s:.0%} of that.",
        ]
    )


def build_load(record: dict[str, Any]) -> str:
    """Return the section on minutes of load."""
    minutes = [(seconds, held) for seconds, held in record["memory"] if seconds >= WARM_UP_S]
    shown = minutes[:: max(1, len(minutes) // 10)]
    growth = minutes[-1][1] / minutes[0][1] - 1
    return "\n".join(
        [
            "## Under load",
            "",
            f"`PYTHONPATH=.:tests python tests/benchmarks/service.py load`, {describe_record(record)}",
            "",
            f"`wrk` with {record['clients']} clients for {record['seconds']} s: {record['requests']} requests, "
            f"{record['errors']} errors, {record['per_s']:.1f} a second, p50 {record['p50_ms']:.0f} ms, "
            f"p99 {record['p99_ms']:.0f} ms.",
            f"The memory of the service from {WARM_UP_S} s on grows by {100 * growth:.1f} % "
            f"(limit: {100 * MAX_GROWTH:.0f} %; no error is allowed):",
            "",
            "| second | " + " | ".join(f"{seconds:.0f}" for seconds, _ in shown) + " |",
            "|---|" + "---|" * len(shown),
            "| MiB | " + " | ".join(f"{held / 2**20:.0f}" for _, held in shown) + " |",
        ]
    )


def describe_record(record: dict[str, Any]) -> str:
    """Say in one line where a record comes from."""
    return f"at {record['commit']}; {record['machine']}; load before the run {record['busy']} a core."


def main() -> None:
    """Measure one of the two and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "load"))
    parser.add_argument("--data", type=Path, default=Path("data"), help="the artefacts of a finished pipeline (default: data)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of `speed` (default: 5)")
    parser.add_argument("--requests", type=int, default=100, help="of each client in a turn of `speed` (default: 100)")
    parser.add_argument("--seconds", type=int, default=600, help="of `load` (default: 600)")
    parser.add_argument("--dry", action="store_true", help="print the section, keep no record")
    options = parser.parse_args()
    if options.what == "speed":
        record = run_speed(options.data, Plan(options.rounds, options.requests, exhaustive=3))
    else:
        record = run_load(options.data, options.seconds)
    if options.dry:
        print(build_page({options.what: record}))
        return
    records = (read_json(RECORDS) if RECORDS.exists() else {}) | {options.what: record}
    write_json(RECORDS, records)
    PAGE.write_text(build_page(records), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

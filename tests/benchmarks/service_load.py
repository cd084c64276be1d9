"""Load test of the service by wrk, with samples of its memory and its CPU time."""

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from process_memory import read_status, sample

SAMPLE_S = 5.0
_SCRIPT = """
local bodies = {%s}
local number = 0
request = function()
  number = number + 1
  return wrk.format("POST", "/search", {["Content-Type"] = "application/json"}, bodies[number %% #bodies + 1])
end
"""


def press(url: str, worker: int, queries: Sequence[str], *, num_clients: int, seconds: int) -> dict[str, Any]:
    """Run wrk with `num_clients` and return its figures, the CPU time of a request, and the memory of the worker over time.

    The CPU time is that of the worker process alone, which computes the answers.

    Raises:
        ValueError: when wrk fails, or prints an unknown report.
    """
    start_s, process = time.monotonic(), psutil.Process(worker)
    before_s = sum(process.cpu_times()[:2])

    def read_memory() -> tuple[float, int]:
        return round(time.monotonic() - start_s, 1), read_status("VmRSS", worker)

    bodies = ",\n".join(json.dumps(json.dumps({"query": query, "top_k": 5})) for query in queries)
    with tempfile.TemporaryDirectory() as folder, sample(read_memory, period_s=SAMPLE_S) as samples:
        script = Path(folder) / "search.lua"
        script.write_text(_SCRIPT % bodies, encoding="utf-8")
        command = ["wrk", "-t1", f"-c{num_clients}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", str(script), url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"wrk ended with {done.returncode}: {done.stdout}{done.stderr}")
    found, cpu_s = parse(done.stdout), sum(process.cpu_times()[:2]) - before_s
    cpu_ms = round(1000 * cpu_s / max(1, found["requests"]), 1)
    return found | {"seconds": seconds, "clients": num_clients, "memory": samples, "cpu_ms": cpu_ms}


def parse(output: str) -> dict[str, Any]:
    """Parse the report of wrk.

    Raises:
        ValueError: when a figure is missing.
    """
    number = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    percentiles = dict(re.findall(r"^\s+(50|99)%\s+([\d.]+m?u?s)\s*$", output, flags=re.MULTILINE))
    if number is None or rate is None or len(percentiles) != 2:
        raise ValueError(f"this is not a report of wrk:\n{output}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    errors = (int(refused[1]) if refused else 0) + (sum(map(int, broken.groups())) if broken else 0)
    times = {f"p{name}_ms": _read_ms(text) for name, text in percentiles.items()}
    return {"requests": int(number[1]), "errors": errors, "per_s": float(rate[1]), **times}


def _read_ms(text: str) -> float:
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[unit]

"""Latency of a search through HTTP, compared with the bare networks and with localizing every video."""

import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import psutil

from search.answers import SearchQuery
from search.networks import CellWindows, Networks, build_localizer_inputs
from search.predictor import MomentPredictor
from search.two_stage import find_survivors

BATCH_SIZE = 8
WARM_UP = 30


class Load(NamedTuple):
    """Clients of a running service."""

    url: str
    worker: psutil.Process
    num_clients: int


class Plan(NamedTuple):
    """Size of the measurement: turns, requests of a client in a turn, and searches of all videos in a turn."""

    rounds: int
    requests: int
    exhaustive: int


class Took(NamedTuple):
    """Cost of one answer: wall time, and CPU time of the process that computed it."""

    wall_s: float
    cpu_s: float


class BareNetworks:
    """The networks of a bundle on prepared inputs: the minimal work of a search."""

    def __init__(self, predictor: MomentPredictor, *, num_threads: int) -> None:
        """Open the networks of a predictor a second time."""
        self._predictor = predictor
        self._networks = Networks(predictor.bundle, num_threads=num_threads)

    def time(self, query: str) -> Took:
        """Return the cost of text encoder, retriever and localizer for one sentence and its survivors."""
        networks, collection, manifest = self._networks, self._predictor.collection, self._predictor.bundle.manifest
        token_ids = self._predictor.bundle.tokenizer.encode([query])
        text = networks.encode_text(token_ids)
        survivors = find_survivors(networks.embed_queries(text)[0], collection.clips, manifest.search).windows
        windows = [collection.get_window(window) for window in survivors]
        asked = CellWindows(
            cells={name: [cells[name] for cells, _ in windows] for name in manifest.localizer_streams},
            starts_s=np.array([window.start_s for _, window in windows]),
            durations_s=np.array([window.duration_s for _, window in windows]),
        )
        inputs = build_localizer_inputs(asked, text.take([0] * len(windows)))
        calls = {"text_encoder": {"token_ids": token_ids}, "retriever_queries": text._asdict(), "localizer": inputs}
        return _time(lambda each: [networks.run(name, given) for name, given in each.items()], calls)


def measure(
    loads: Mapping[str, Load], predictor: MomentPredictor, queries: Sequence[str], plan: Plan, *, num_threads: int
) -> dict[str, dict[str, float]]:
    """Return all times in milliseconds, measured in turns, so that load of the machine affects all of them."""
    bare = BareNetworks(predictor, num_threads=num_threads)
    rank_all = partial(predictor.rank_videos, video_ids=list(predictor.collection.videos), top_k=5)
    ways: dict[str, Callable[[list[str]], list[Took]]] = {
        "bare networks": lambda asked: [bare.time(query) for query in asked],
        "in process": lambda asked: [_time(predictor.search, SearchQuery(query)) for query in asked],
        f"in process, {BATCH_SIZE} at once": lambda asked: _time_batches(predictor, asked),
        "all videos": lambda asked: [_time(rank_all, query) for query in asked[: plan.exhaustive]],
    }
    rates: dict[str, list[float]] = {name: [] for name in loads}
    times: dict[str, list[Took]] = {name: [] for name in (*ways, *rates)}
    for way in ways.values():
        way(list(queries[:WARM_UP]))
    for load in loads.values():
        run_clients(load, queries[:WARM_UP])
    for number in range(plan.rounds):
        asked = [queries[(number * plan.requests + place) % len(queries)] for place in range(plan.requests)]
        for name, way in ways.items():
            times[name] += way(asked)
        for name, load in loads.items():
            start_s = time.perf_counter()
            times[name] += run_clients(load, asked * load.num_clients)
            rates[name].append(len(asked) * load.num_clients / (time.perf_counter() - start_s))
    return {name: summarise(values) | _add_rate(rates.get(name)) for name, values in times.items()}


def run_clients(load: Load, queries: Sequence[str]) -> list[Took]:
    """Let each client send its sentences one by one over its own connection; return the cost of each answer.

    The CPU time is the mean of all answers.

    Raises:
        ValueError: with the answer of a failed request.
    """
    found: list[list[float]] = [[] for _ in range(load.num_clients)]
    faults: list[Exception] = []

    def ask(number: int) -> None:
        try:
            found[number] = _run_client(load.url, queries[number :: load.num_clients])
        except (OSError, ValueError) as error:
            faults.append(error)

    before = load.worker.cpu_times()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(load.num_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise ValueError(f"{len(faults)} clients failed, the first one: {faults[0]}")
    after = load.worker.cpu_times()
    cpu_s = (after.user + after.system - before.user - before.system) / len(queries)
    return [Took(wall_s, cpu_s) for times_s in found for wall_s in times_s]


def _run_client(url: str, queries: Sequence[str]) -> list[float]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    times_s = []
    for query in queries:
        body = json.dumps({"query": query, "top_k": 5})
        start_s = time.perf_counter()
        connection.request("POST", "/search", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        times_s.append(time.perf_counter() - start_s)
        if response.status != http.client.OK:
            raise ValueError(f"{query!r}: {response.status} {content[:200]!r}")
    connection.close()
    return times_s


def summarise(times: Sequence[Took]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds by nearest rank, the mean CPU time, and the number of answers."""
    ordered = sorted(one.wall_s for one in times)
    p99_s = ordered[-(-99 * len(ordered) // 100) - 1]
    figures = {"p50_ms": statistics.median(ordered), "p99_ms": p99_s, "cpu_ms": statistics.fmean(one.cpu_s for one in times)}
    return {name: round(1000 * value, 2) for name, value in figures.items()} | {"count": len(ordered)}


def _add_rate(rates: Sequence[float] | None) -> dict[str, float]:
    return {"per_s": round(statistics.median(rates), 2)} if rates else {}


def _time(work: Callable[[Any], object], given: object) -> Took:
    start_s, cpu_s = time.perf_counter(), time.process_time()
    work(given)
    return Took(time.perf_counter() - start_s, time.process_time() - cpu_s)


def _time_batches(predictor: MomentPredictor, queries: Sequence[str]) -> list[Took]:
    """Return the cost of a sentence in a batch."""
    batches = [queries[start : start + BATCH_SIZE] for start in range(0, len(queries), BATCH_SIZE)]
    took = [_time(predictor.search, [SearchQuery(query) for query in batch]) for batch in batches]
    return [Took(*(value / len(batch) for value in one)) for one, batch in zip(took, batches, strict=True)]

"""Parity of the running service, through HTTP, with the predictions that `evaluate` wrote.

    PYTHONPATH=.:tests python tests/benchmarks/service_parity.py   # of the working tree: data/bundle, data/index, data/reports

It starts the service on the outputs of a pipeline, sends every test sentence, for all videos of the test split and for its
video alone, and prints the largest differences.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from tqdm import tqdm

from corpus.files import read_jsonl
from corpus.records import load_corpus
from loopback import SERVICE, start_server, stop_server

MAX_SCORE_DIFFERENCE = 1e-4
MAX_TIME_DIFFERENCE_S = 1e-3  # the spans of `localize` are float32


class Ranked(NamedTuple):
    """The compared fields of a moment."""

    video_id: str
    start_s: float
    end_s: float
    score: float


@dataclass
class Comparison:
    """The differences in one kind of request."""

    num_sentences: int = 0
    num_moments: int = 0
    score_difference: float = 0.0  # largest difference of moments of equal rank
    num_swapped: int = 0  # moments in another order, with scores equal within the tolerance
    faults: list[str] = field(default_factory=list)

    def add(self, query: str, served: Sequence[Ranked], expected: Sequence[Ranked]) -> None:
        """Compare the answers to one sentence, best first."""
        self.num_sentences += 1
        if len(served) != len(expected):
            self.faults.append(f"{query!r}: {len(served)} moments, evaluate has {len(expected)}")
        for rank, (ours, theirs) in enumerate(zip(served, expected, strict=False)):
            self.num_moments += 1
            difference = abs(ours.score - theirs.score)
            self.score_difference = max(self.score_difference, difference)
            if difference > MAX_SCORE_DIFFERENCE:
                self.faults.append(f"{query!r}, rank {rank + 1}: score {ours.score:.6f}, evaluate has {theirs.score:.6f}")
            elif not is_same_place(ours, theirs):
                self._check_swap(query, rank, ours, expected)

    def _check_swap(self, query: str, rank: int, ours: Ranked, expected: Sequence[Ranked]) -> None:
        """Accept another moment if scores differ by less than the tolerance: elsewhere in the list, or at its end."""
        self.num_swapped += 1
        tied = [one for one in expected if abs(one.score - ours.score) <= MAX_SCORE_DIFFERENCE]
        is_last = abs(expected[-1].score - ours.score) <= MAX_SCORE_DIFFERENCE
        if not is_last and not any(is_same_place(ours, one) for one in tied):
            self.faults.append(f"{query!r}, rank {rank + 1}: {ours}, evaluate has {expected[rank]}")


def is_same_place(ours: Ranked, theirs: Ranked) -> bool:
    """Tell whether two moments have the same video and times."""
    near = (abs(a - b) <= MAX_TIME_DIFFERENCE_S for a, b in zip(ours[1:3], theirs[1:3], strict=True))
    return ours.video_id == theirs.video_id and all(near)


def compare(url: str, predictions: Path, video_ids: Sequence[str]) -> dict[str, Comparison]:
    """Ask a service for every prediction, with both kinds of request."""
    found = {"search": Comparison(), "localize": Comparison()}
    with httpx.Client(base_url=url, timeout=60) as client:
        for _, row in tqdm(list(read_jsonl(predictions)), desc="ask", unit="sentence", disable=None, leave=False):
            everywhere = [Ranked(*moment) for moment in row["pred_collection_moments"]]
            asked = {"query": row["query"], "top_k": len(everywhere), "video_ids": list(video_ids), "min_confidence": 0}
            found["search"].add(row["query"], ask(client, "/search", asked), everywhere)
            here = [Ranked(row["vid"], *moment) for moment in row["pred_relevant_windows"]]
            asked = {"query": row["query"], "video_id": row["vid"], "top_k": len(here)}
            found["localize"].add(row["query"], ask(client, "/localize", asked), here)
    return found


def ask(client: httpx.Client, path: str, body: dict[str, Any]) -> list[Ranked]:
    """Return the moments in the answer of a service, found or not."""
    answer = client.post(path, json=body).raise_for_status().json()
    moments = answer["timeline"]["candidates"][: body["top_k"]] if "timeline" in answer else answer["moments"]
    return [Ranked(*(moment[name] for name in Ranked._fields)) for moment in moments]


def compare_pipeline(data_dir: Path, home: Path) -> dict[str, Comparison]:
    """Serve the bundle and index of a finished pipeline and compare the answers with its report on the test split."""
    places = {"CUEPOINT_BUNDLE": "bundle", "CUEPOINT_INDEX": "index", "CUEPOINT_MEDIA_ROOT": "raw"}
    server = start_server(SERVICE, home, **{name: str((data_dir / folder).resolve()) for name, folder in places.items()})
    try:
        server.wait_until_ready()
        videos = load_corpus(data_dir / "corpus").of_split("test").videos
        predictions = data_dir / "reports" / "evaluation" / "predictions.jsonl"
        return compare(server.url, predictions, [video.video_id for video in videos])
    finally:
        stop_server(server)


def main() -> None:
    """Compare a pipeline and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="artefacts of a finished pipeline (default: data)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found = compare_pipeline(options.data, Path(home))
    for name, one in found.items():
        print(
            f"{name}: {one.num_sentences} sentences, {one.num_moments} moments; largest difference of scores "
            f"{one.score_difference:.1e}, {one.num_swapped} moments in another order of equal scores, {len(one.faults)} faults"
        )
        print("".join(f"  {fault}\n" for fault in one.faults[:10]), end="")


if __name__ == "__main__":
    main()

"""Cost of an epoch's data loading, compared with a loader per item: python tests/benchmarks/tan2d_data.py.

The size is that of Charades-STA: 12,404 queries of 5,336 videos, 256 clips of width 4096 each. Both sides use drawn features
of a few videos. Like the authors' loader, the loader per item does this for every query: open the HDF5 file, read,
normalise, average to 256 clips, compute the IoU of every cell in lists, and collate.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in training: spinning threads slow a shared machine

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from corpus.moments import Moment  # noqa: E402
from corpus.records import Corpus, Query, Video  # noqa: E402
from corpus.store import FeatureStore, Fingerprint, StreamEntry, save_index, save_shard  # noqa: E402
from corpus.stream_names import VIDEO  # noqa: E402
from models.contracts.batches import TextFeatures  # noqa: E402
from models.contracts.inputs import iterate_cells  # noqa: E402
from models.layers.candidate_map import CandidateGrid  # noqa: E402
from models.layers.spans import compute_target_iou  # noqa: E402
from models.training.data import LocalizerData, shuffle_batches  # noqa: E402

QUERIES, VIDEOS, CLIPS, WIDTH, CELLS, BATCH, WORDS = 12_404, 5_336, 256, 4096, 16, 32, 10
DURATION_S = 30.0


def main() -> None:
    """Draw features, time both loaders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=128, help="videos with drawn features")
    parser.add_argument("--batches", type=int, default=6, help="batches in a turn")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as name:
        print_table(Path(name), arguments)


def print_table(folder: Path, arguments: argparse.Namespace) -> None:
    """Print the cost of an epoch on both sides, from medians of turns."""
    data, load_s = load_here(folder, arguments.videos)
    theirs, ours = iterate_there(folder, arguments.videos), iterate_here(data)
    costs = [[measure(take, arguments.batches) for take in (theirs, ours)] for _ in range(arguments.rounds)]
    per_item = [
        [statistics.median(column) / (arguments.batches * BATCH) for column in zip(*side, strict=True)]
        for side in zip(*costs, strict=True)
    ]
    print(f"| {QUERIES} queries | wall, s an epoch | CPU, s an epoch | ms a query |\n|---|---|---|---|")
    for name, (wall_s, cpu_s) in zip(("loader per item", "here"), per_item, strict=True):
        print(f"| {name} | {wall_s * QUERIES:.1f} | {cpu_s * QUERIES:.1f} | {cpu_s * 1e3:.2f} |")
    (their_wall, their_cpu), (wall, cpu) = per_item
    print(f"| share | {wall / their_wall:.1%} | {cpu / their_cpu:.1%} | |")
    print(f"\nLoading the table, once a training: {load_s / arguments.videos * VIDEOS:.0f} CPU s for {VIDEOS} videos.")


def measure(batches: Iterator[object], count: int) -> tuple[float, float]:
    """Return the wall and CPU seconds of `count` batches."""
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        next(batches)
    return time.perf_counter() - start, time.process_time() - cpu


def draw_queries(num_videos: int) -> list[Query]:
    """Return queries of random moments and videos."""
    generator = np.random.default_rng(0)
    videos, starts = generator.integers(num_videos, size=QUERIES), generator.uniform(0, DURATION_S / 2, size=QUERIES)
    rows = zip(videos.tolist(), starts.tolist(), strict=True)
    return [
        Query(str(index), f"v{video}", "a person sits", (Moment(start, start + 8.0),), "train")
        for index, (video, start) in enumerate(rows)
    ]


def load_here(folder: Path, num_videos: int) -> tuple[LocalizerData, float]:
    """Write a feature store and the HDF5 file, and load the store's table; return it with the CPU seconds of loading."""
    generator = np.random.default_rng(1)
    names = [f"v{index}" for index in range(num_videos)]
    shards = []
    with h5py.File(folder / "features.hdf5", "w") as file:
        for start in range(0, num_videos, 32):
            part = {
                name: generator.random((CLIPS, 1, WIDTH), dtype=np.float32).astype(np.float16)
                for name in names[start : start + 32]
            }
            shards.append(save_shard(part, folder / VIDEO / f"shard-{start:03d}.safetensors"))
            for name, features in part.items():
                file[name] = features[:, 0].astype(np.float32)
    save_index(folder, {VIDEO: StreamEntry(Fingerprint({}, {}), 6.0, shards)})
    videos = tuple(Video(video_id=name, path=f"{name}.mp4", split="train", duration_s=DURATION_S, sha256="") for name in names)
    mask = torch.ones(QUERIES, WORDS, dtype=torch.bool)
    text = TextFeatures(torch.randn(QUERIES, WORDS, 300), mask, torch.zeros(QUERIES, 300))
    store = FeatureStore(folder).stream(VIDEO)
    cpu = time.process_time()
    corpus, cells = Corpus(videos, tuple(draw_queries(num_videos))), {VIDEO: iterate_cells(store, names, CLIPS)}
    data = LocalizerData.from_corpus(corpus, text, cells, CLIPS)
    return data, time.process_time() - cpu


def iterate_here(data: LocalizerData) -> Iterator[object]:
    """Yield batches with the IoU of their candidates, as in training."""
    grid = CandidateGrid(CELLS, (CELLS,), clips_per_cell=CLIPS // CELLS)
    generator = torch.Generator().manual_seed(0)
    while True:
        for rows in shuffle_batches(data.queries.video_index, batch_size=BATCH, videos_per_batch=None, generator=generator):
            batch = data.batch(rows)
            spans = grid.compute_spans(batch.video.mask, batch.video.duration_s)
            yield batch, compute_target_iou(spans, batch.targets)


def iterate_there(folder: Path, num_videos: int) -> Iterator[object]:
    """Yield batches made item by item."""
    queries, words = draw_queries(num_videos), nn.Embedding(1000, 300)
    generator = torch.Generator().manual_seed(0)
    while True:
        for rows in torch.randperm(QUERIES, generator=generator).split(BATCH):
            with torch.no_grad():
                yield collate([load_item(folder / "features.hdf5", queries[row], words) for row in rows.tolist()])


def load_item(path: Path, query: Query, words: nn.Embedding) -> dict[str, Tensor]:
    """Return the words, clips and map of IoU of one query."""
    with h5py.File(path, "r") as file:
        features = nn.functional.normalize(torch.from_numpy(file[query.video_id][:]).float(), dim=1)
    edges = torch.arange(CLIPS + 1) / CLIPS * len(features)
    index = edges.round().long().clamp(max=len(features) - 1)
    clips = []
    for cell in range(CLIPS):
        first, end = index[cell].item(), index[cell + 1].item()
        clips.append(features[first:end].mean(0) if first < end else features[first])
    cell_s = DURATION_S / CELLS
    edges_s = [(cell * cell_s, (cell + 1) * cell_s) for cell in range(CELLS)]
    spans = [[start, end] for start, _ in edges_s for _, end in edges_s]
    return {
        "clips": torch.stack(clips),
        "words": words(torch.arange(WORDS)),
        "mask": torch.ones(WORDS, 1),
        "iou": torch.tensor([compute_iou(span, query.spans[0]) for span in spans]).reshape(CELLS, CELLS),
    }


def compute_iou(span: list[float], truth: Moment) -> float:
    """Return the overlap of a span with a moment over their hull."""
    overlap = min(span[1], truth.end_s) - max(span[0], truth.start_s)
    return max(0.0, overlap) / (max(span[1], truth.end_s) - min(span[0], truth.start_s))


def collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the items as one batch, padded to the longest."""
    return {name: nn.utils.rnn.pad_sequence([item[name] for item in items], batch_first=True) for name in items[0]}


if __name__ == "__main__":
    main()

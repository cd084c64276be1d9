"""Do exported networks give what torch gives? Cases from the real corpus, differences, and how long a run takes."""

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpus.media import ClipSampling
from corpus.moments import resample_clips
from corpus.store import FeatureStore
from models.exchange.encoder_files import Encoders
from models.exporting.networks import OnnxNetwork
from serving.networks import open_session

NUM_TEXTS, NUM_VIDEOS = 4, 3
_TIMED_RUNS = 5
_CLIP_COUNTS = (1, 7)

Inputs = Mapping[str, Tensor]


class Samples(NamedTuple):
    """Real sentences and videos to try networks on."""

    texts: tuple[str, ...]
    features: tuple[Tensor, ...]  # (S, P, D) float32 each
    durations_s: tuple[float, ...]


def load_samples(texts: Sequence[str], store: FeatureStore, durations_s: Mapping[str, float]) -> Samples:
    """Take the shortest and longest sentence, some between, and the first videos of the store."""
    ordered = sorted(set(texts), key=lambda text: (len(text.split()), text))
    positions = np.linspace(0, len(ordered) - 1, NUM_TEXTS).round().astype(int)
    video_ids = [video_id for video_id in store.video_ids if video_id in durations_s][:NUM_VIDEOS]
    return Samples(
        texts=tuple(ordered[position] for position in positions),
        features=tuple(torch.from_numpy(store.load(video_id).astype(np.float32)) for video_id in video_ids),
        durations_s=tuple(durations_s[video_id] for video_id in video_ids),
    )


def build_video_cases(sampling: ClipSampling) -> Sequence[Inputs]:
    """Return clips of random pixels, in several counts."""
    generator = torch.Generator().manual_seed(0)
    size = (len(sampling.offsets_s), sampling.size_px, sampling.size_px, 3)
    return [{"clips": torch.randint(0, 256, (count, *size), dtype=torch.uint8, generator=generator)} for count in _CLIP_COUNTS]


def build_text_cases(samples: Samples, encoders: Encoders) -> Sequence[Inputs]:
    """Return each sentence alone, and all of them with padding and a word that nobody knows."""
    batches = [[text] for text in samples.texts] + [[*samples.texts, "\u2047nobody\u2047knows\u2047 this"]]
    return [{"token_ids": torch.from_numpy(encoders.tokenizer.encode(batch))} for batch in batches]


def build_clip_cases(samples: Samples) -> Sequence[Inputs]:
    """Return the clips of each video, and one clip alone."""
    return [{"features": features} for features in (samples.features[0][:1], *samples.features)]


@torch.no_grad()
def build_encoded_cases(samples: Samples, encoders: Encoders) -> Sequence[Inputs]:
    """Return the encoded sentences of the text cases."""
    cases = build_text_cases(samples, encoders)
    encoded = [encoders.text(case["token_ids"]) for case in cases]
    return [{"tokens": text.tokens, "token_mask": text.mask, "pooled": text.pooled} for text in encoded]


def build_localizer_cases(samples: Samples, encoders: Encoders, num_cells: int) -> Sequence[Inputs]:
    """Return one video with each sentence, and the last batch of sentences with videos whose ends are masked out."""
    *single, batch = build_encoded_cases(samples, encoders)
    cells = [torch.from_numpy(resample_clips(features.numpy(), num_cells)) for features in samples.features]
    rows = [row % len(cells) for row in range(len(batch["tokens"]))]
    lengths = torch.tensor([max(1, num_cells - 3 * row) for row in range(len(rows))])
    whole = torch.ones(1, num_cells, dtype=torch.bool)
    first = {"features": cells[0][None], "mask": whole, "duration_s": torch.tensor(samples.durations_s[:1])}
    several = {
        "features": torch.stack([cells[row] for row in rows]),
        "mask": torch.arange(num_cells)[None] < lengths[:, None],
        "duration_s": torch.tensor([samples.durations_s[row] for row in rows]),
    }
    return [{**first, **text} for text in single] + [{**several, **batch}]


def require_parity(network: OnnxNetwork, path: Path, cases: Sequence[Inputs], *, max_difference: float) -> float:
    """Compare an exported network with torch on each case and return the largest difference.

    Raises:
        ValueError: naming the network, its worst output and the difference, when that is above `max_difference`.
    """
    session = open_session(path, num_threads=1)
    worst, where = 0.0, ""
    for case in cases:
        expected = network.run(case)
        found = session.run(list(expected), {one.name: case[one.name].numpy() for one in session.get_inputs()})
        for (output, tensor), array in zip(expected.items(), found, strict=True):
            difference = measure_difference(tensor.numpy(), array)
            if not difference <= worst:
                worst, where = difference, f"{output} {array.shape}"
    if not worst <= max_difference:
        raise ValueError(
            f"the exported network {network.name!r} differs from torch by {worst:.3g} of the largest value in {where}, "
            f"allowed is export.max_difference = {max_difference:.3g}"
        )
    return worst


def measure_difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """Return the largest absolute difference over the largest absolute value expected; infinite where shapes or truths differ."""
    if expected.shape != found.shape or not np.array_equal(np.isfinite(expected), np.isfinite(found)):
        return float("inf")
    if expected.dtype == np.bool_:
        return 0.0 if np.array_equal(expected, found) else float("inf")
    finite = np.isfinite(expected)
    difference = np.abs(expected[finite].astype(np.float64) - found[finite])
    largest = np.abs(expected[finite]).max(initial=0.0)
    return float(difference.max(initial=0.0) / max(largest, np.finfo(np.float32).tiny))


def measure_latency(path: Path, case: Inputs, *, num_threads: int) -> float:
    """Return the median time of one run in milliseconds, after one to warm up."""
    session = open_session(path, num_threads=num_threads)
    inputs = {one.name: case[one.name].numpy() for one in session.get_inputs()}
    session.run(None, inputs)
    times_s = []
    for _ in range(_TIMED_RUNS):
        started_s = time.perf_counter()
        session.run(None, inputs)
        times_s.append(time.perf_counter() - started_s)
    return 1000 * statistics.median(times_s)

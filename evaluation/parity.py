"""Parity of exported networks with torch: cases from the real corpus, differences, and the latency of a run."""

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from corpus.alignment import align_clips
from corpus.moments import Floats, compute_clip_rate, resample_clips
from corpus.store import FeatureStore, Half
from corpus.stream_names import name_features
from models.artefacts.encoder_files import Encoders
from models.artefacts.exporting.cases import Inputs, build_encoder_cases
from models.artefacts.exporting.networks import (
    OnnxNetwork,
    build_clip_network,
    build_encoder_network,
    build_localizer_network,
    build_query_network,
    build_text_network,
)
from models.artefacts.trained_parts import TrainedParts
from models.contracts.roles import Localizer, Retriever
from search.networks import open_session

NUM_TEXTS, NUM_VIDEOS = 4, 3
_TIMED_RUNS = 5


class Samples(NamedTuple):
    """Real sentences and videos for the test cases of networks."""

    texts: tuple[str, ...]
    streams: tuple[Mapping[str, Half], ...]  # (S, P, D) of each video by stream
    rates_hz: tuple[Mapping[str, float], ...]  # clips per second of each
    durations_s: tuple[float, ...]


def load_samples(texts: Sequence[str], store: FeatureStore, streams: Iterable[str], durations_s: Mapping[str, float]) -> Samples:
    """Choose the shortest and longest sentence, some between, and the first videos of the store, with the given streams."""
    ordered = sorted(set(texts), key=lambda text: (len(text.split()), text))
    positions = np.linspace(0, len(ordered) - 1, NUM_TEXTS).round().astype(int)
    stored = {name: store.stream(name) for name in streams}
    known = set.intersection(*(set(one.video_ids) for one in stored.values()))
    video_ids = [video_id for video_id in sorted(known) if video_id in durations_s][:NUM_VIDEOS]
    features = [{name: one.load(video_id) for name, one in stored.items()} for video_id in video_ids]
    lengths_s = [durations_s[video_id] for video_id in video_ids]
    rates_hz = [
        {
            name: compute_clip_rate(stored[name].clip_rate_hz, num_clips=len(clips), duration_s=length_s)
            for name, clips in of_video.items()
        }
        for of_video, length_s in zip(features, lengths_s, strict=True)
    ]
    chosen = tuple(ordered[position] for position in positions)
    return Samples(chosen, tuple(features), tuple(rates_hz), tuple(lengths_s))


def build_text_cases(samples: Samples, encoders: Encoders) -> Sequence[Inputs]:
    """Return each sentence alone, and a padded batch of all sentences with an unknown word."""
    batches = [[text] for text in samples.texts] + [[*samples.texts, "\u2047nobody\u2047knows\u2047 this"]]
    return [{"token_ids": torch.from_numpy(encoders.tokenizer.encode(batch))} for batch in batches]


def build_clip_cases(samples: Samples, retriever: Retriever) -> Sequence[Inputs]:
    """Return the clips of each video on the grid of the retriever's first stream, and one clip alone."""
    grid, *others = retriever.streams
    cases: list[Inputs] = []
    for streams, rates_hz in zip(samples.streams, samples.rates_hz, strict=True):
        align = partial(align_clips, num_grid_clips=len(streams[grid]), grid_rate_hz=rates_hz[grid])
        aligned = {name: align(streams[name], clip_rate_hz=rates_hz[name]).astype(np.float16) for name in others}
        cases.append(_to_inputs({grid: streams[grid], **aligned}))
    return [{name: features[:1] for name, features in cases[0].items()}, *cases]


@torch.no_grad()
def build_encoded_cases(samples: Samples, encoders: Encoders) -> Sequence[Inputs]:
    """Return the encoded sentences of the text cases."""
    cases = build_text_cases(samples, encoders)
    encoded = [encoders.text(case["token_ids"]) for case in cases]
    return [{"tokens": text.tokens, "token_mask": text.mask, "pooled": text.pooled} for text in encoded]


def build_localizer_cases(samples: Samples, encoders: Encoders, localizer: Localizer) -> Sequence[Inputs]:
    """Return one video with each sentence, and the last batch of sentences with videos whose ends are masked out."""
    *single, batch = build_encoded_cases(samples, encoders)
    num_cells, num_rows = localizer.num_cells, len(batch["tokens"])
    videos = [
        _to_inputs({name: resample_clips(streams[name], num_cells) for name in localizer.streams}) for streams in samples.streams
    ]
    rows = [row % len(videos) for row in range(num_rows)]
    lengths = torch.tensor([max(1, num_cells - 3 * row) for row in range(num_rows)])
    first = {
        **{name: cells[None] for name, cells in videos[0].items()},
        "mask": torch.ones(1, num_cells, dtype=torch.bool),
        "duration_s": torch.tensor(samples.durations_s[:1]),
    }
    several = {
        **{name: torch.stack([videos[row][name] for row in rows]) for name in videos[0]},
        "mask": torch.arange(num_cells)[None] < lengths[:, None],
        "duration_s": torch.tensor([samples.durations_s[row] for row in rows]),
    }
    return [{**first, **text} for text in single] + [{**several, **batch}]


def _to_inputs(streams: Mapping[str, Floats]) -> Inputs:
    return {name_features(name): torch.from_numpy(features.astype(np.float32)) for name, features in streams.items()}


def build_trials(parts: TrainedParts, samples: Samples) -> list[tuple[OnnxNetwork, Sequence[Inputs]]]:
    """Return each network with its test cases; the last case is the largest.

    Streams have no network if the models do not read them or their features come from files.
    """
    encoders, read = parts.encoders, parts.streams
    encoded = {name: stream.encoder for name, stream in encoders.streams.items() if name in read}
    return [
        *((build_encoder_network(name, one), build_encoder_cases(one.sampling)) for name, one in encoded.items()),
        (build_text_network(encoders.text), build_text_cases(samples, encoders)),
        (build_clip_network(parts.retriever), build_clip_cases(samples, parts.retriever)),
        (build_query_network(parts.retriever), build_encoded_cases(samples, encoders)),
        (build_localizer_network(parts.localizer), build_localizer_cases(samples, encoders, parts.localizer)),
    ]


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
            f"the limit is export.max_difference = {max_difference:.3g}"
        )
    return worst


def measure_difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """Return the largest absolute difference over the largest absolute value expected; infinite if shapes or truths differ."""
    if expected.shape != found.shape or not np.array_equal(np.isfinite(expected), np.isfinite(found)):
        return float("inf")
    if expected.dtype == np.bool_:
        return 0.0 if np.array_equal(expected, found) else float("inf")
    finite = np.isfinite(expected)
    difference = np.abs(expected[finite].astype(np.float64) - found[finite])
    largest = np.abs(expected[finite]).max(initial=0.0)
    return float(difference.max(initial=0.0) / max(largest, np.finfo(np.float32).tiny))


def measure_latency(path: Path, case: Inputs, *, num_threads: int) -> float:
    """Return the median time of a run in milliseconds, after a warm-up run."""
    session = open_session(path, num_threads=num_threads)
    inputs = {one.name: case[one.name].numpy() for one in session.get_inputs()}
    session.run(None, inputs)
    times_s = []
    for _ in range(_TIMED_RUNS):
        started_s = time.perf_counter()
        session.run(None, inputs)
        times_s.append(time.perf_counter() - started_s)
    return 1000 * statistics.median(times_s)

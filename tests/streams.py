"""Test features of one stream, `video`: widths, batches and stores."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from corpus.store import Fingerprint, StreamEntry, save_index, save_shard
from corpus.stream_names import VIDEO
from models.contracts.batches import InputDims, StreamDims, VideoFeatures


def video_dims(*, dim: int, num_places: int, text_dim: int) -> InputDims:
    return InputDims({VIDEO: StreamDims(num_places, dim)}, text_dim)


def as_video(features: Tensor, mask: Tensor, duration_s: Tensor) -> VideoFeatures:
    return VideoFeatures({VIDEO: features}, mask, duration_s)


def replace_features(video: VideoFeatures, features: Tensor) -> VideoFeatures:
    return video._replace(streams={VIDEO: features})


def write_store(
    folder: Path,
    streams: Mapping[str, Mapping[str, np.ndarray]],
    *,
    fingerprint: Fingerprint,
    clip_rates_hz: Mapping[str, float | None],
) -> None:
    """Write the features (S, P, D) of each video, by stream, as one shard a stream; all streams share one fingerprint."""
    entries = {
        name: StreamEntry(fingerprint, clip_rates_hz[name], [save_shard(features, folder / name / "shard-000.safetensors")])
        for name, features in streams.items()
    }
    save_index(folder, entries)

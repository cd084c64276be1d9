"""Joining of the streams that a model reads into one feature tensor.

Letters: P places of a clip, D width; axes before them (videos, cells, clips) are those of the streams.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from models.contracts.batches import InputDims, StreamDims

T = TypeVar("T")


def join_streams(streams: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """Concatenate streams along their width, in order: each (..., P, D) -> (..., P, sum of D).

    A stream of one place is repeated over the places of the others. A single stream is returned unchanged.

    Raises:
        ValueError: naming the streams whose numbers of places do not fit, or one that is missing.
    """
    chosen = [_find(streams, name) for name in names]
    if len(chosen) == 1:
        return chosen[0]
    num_places = _count_places({name: part.shape[-2] for name, part in zip(names, chosen, strict=True)})
    return torch.cat([part.expand(*part.shape[:-2], num_places, part.shape[-1]) for part in chosen], dim=-1)


def join_dims(dims: InputDims, names: Sequence[str]) -> StreamDims:
    """Return the places and the width of `join_streams`.

    Raises:
        ValueError: naming the streams whose numbers of places do not fit, or one that is missing.
    """
    chosen = {name: _find(dims.streams, name) for name in names}
    return StreamDims(
        num_places=_count_places({name: part.num_places for name, part in chosen.items()}),
        dim=sum(part.dim for part in chosen.values()),
    )


def _find(streams: Mapping[str, T], name: str) -> T:
    if name not in streams:
        raise ValueError(f"the stream {name!r} is not among the given streams: {', '.join(streams) or 'none'}")
    return streams[name]


def _count_places(num_places: Mapping[str, int]) -> int:
    several = {name: count for name, count in num_places.items() if count > 1}
    if len(set(several.values())) > 1:
        counts = ", ".join(f"{name} has {count}" for name, count in several.items())
        raise ValueError(
            f"streams can be joined when their clips have equally many places, or one: {counts}; "
            "choose other streams in the model's preset"
        )
    return max(num_places.values())

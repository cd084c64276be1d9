"""Inputs on which exported networks are compared with torch. Letters: N cells, P places, D width."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from corpus.media import ClipSampling, SoundSampling

_CLIP_COUNTS = (1, 7)

Inputs = Mapping[str, Tensor]


def build_encoder_cases(sampling: ClipSampling | SoundSampling) -> Sequence[Inputs]:
    """Return clips of random pixels or random sound, in several counts."""
    generator = torch.Generator().manual_seed(0)
    if isinstance(sampling, SoundSampling):
        shape = (sampling.num_samples,)
        return [{"clips": 2 * torch.rand((count, *shape), generator=generator) - 1} for count in _CLIP_COUNTS]
    size = (len(sampling.offsets_s), sampling.size_px, sampling.size_px, 3)
    return [{"clips": torch.randint(0, 256, (count, *size), dtype=torch.uint8, generator=generator)} for count in _CLIP_COUNTS]

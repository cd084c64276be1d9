"""Mel scale and mel filters in NumPy.

Letters: K bins of a Fourier transform, M bands.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def hz_to_mel(hz: Floats) -> Floats:
    """Return mel: 2595 log10(1 + hz / 700), the form of HTK (Young et al. 2006, The HTK Book, eq. 5.13)."""
    mel: Floats = 2595 * np.log10(1 + hz / 700)
    return mel


def mel_to_hz(mel: Floats) -> Floats:
    """Return the inverse of `hz_to_mel`."""
    hz: Floats = 700 * (10 ** (mel / 2595) - 1)
    return hz


def compute_filters(bins_hz: Floats, *, num_bands: int, min_hz: float, max_hz: float) -> Floats:
    """Return triangular filters (M, K) of height 1, over bins with the frequencies (K,).

    Band m rises from the centre of the previous band and falls to the centre of the next one. The M centres are equally spaced
    in mel between `min_hz` and `max_hz`. As in HTK, filters are linear in mel and their areas are not normalised.
    """
    edges = _space_edges(num_bands, min_hz, max_hz)  # (M + 2,) mel
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]  # (M, 1)
    mel = hz_to_mel(bins_hz)  # (K,)
    filters: Floats = np.maximum(0, np.minimum((mel - lower) / (centre - lower), (upper - mel) / (upper - centre)))
    return filters


def compute_centres_hz(*, num_bands: int, min_hz: float, max_hz: float) -> Floats:
    """Return the centre frequency of each filter, (M,)."""
    return mel_to_hz(_space_edges(num_bands, min_hz, max_hz)[1:-1])


def _space_edges(num_bands: int, min_hz: float, max_hz: float) -> Floats:
    """Return the lower edge, the M centres and the upper edge in mel."""
    low, high = hz_to_mel(np.array([min_hz, max_hz])).tolist()
    return np.linspace(low, high, num_bands + 2)

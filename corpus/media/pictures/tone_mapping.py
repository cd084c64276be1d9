"""HDR and wide-gamut RGB to SDR BT.709 RGB.

Steps, on light relative to the reference white of 203 cd/m2 (Report ITU-R BT.2408-7, table 1), which becomes 1:

1. code values to display light: PQ by the EOTF of Recommendation ITU-R BT.2100-2, table 4; HLG by the inverse OETF
   and the OOTF of table 5, for a display of 1000 cd/m2 (gamma 1.2); SDR by the EOTF of BT.1886, a power of 2.4;
2. primaries to those of BT.709 by the matrix of Recommendation ITU-R BT.2087-0; light outside the gamut is clipped at 0;
3. tone mapping: light up to 0.9 stays as it is. Above, the curve of Reinhard et al. 2002 ("Photographic Tone Reproduction
   for Digital Images", eq. 4) maps 0.9 .. 1000 cd/m2 to 0.9 .. 1. It gets the largest of the three channels, and all
   three are multiplied by the same factor, so that hues stay. SDR has no light above 1; values lifted above it by the
   new primaries are clipped;
4. the inverse of the EOTF of BT.1886.

White of 203 cd/m2 becomes 249 of 255. Deviation: BT.2390's EETF darkens this white to about 225, and everything beside it;
models that learned from SDR pictures need its brightness more than detail in the highlights.
"""

from functools import cache

import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc
from numpy.typing import NDArray

_HDR = frozenset({ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67})
_WHITE_NITS = 203.0
_PEAK_NITS = 1000.0  # of the display for which HLG and most PQ masters are made
_KNEE = 0.9
_SDR_GAMMA = 2.4
_HLG_GAMMA = 1.2
_NUM_CODES = 1 << 16
_ROWS_AT_ONCE = 64  # so that the intermediate arrays stay in the cache of the processor
_LUMINANCE_2020 = (0.2627, 0.6780, 0.0593)
_TO_709 = {
    ColorPrimaries.BT709: np.eye(3),
    ColorPrimaries.BT2020: np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]),
    ColorPrimaries.SMPTE432: np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]),
}

Codes = NDArray[np.uint16]
Light = NDArray[np.float32]


def map_to_sdr(codes: Codes, transfer: ColorTrc, primaries: ColorPrimaries) -> NDArray[np.uint8]:
    """Map full-range RGB of 16 bits, (H, W, 3), to full-range BT.709 RGB of 8 bits of the same shape.

    One core of an AMD EPYC takes 1.2 ms for 224 x 224 pixels of PQ (1.6 ms of HLG) and 29 ms for 1280 x 720.
    """
    mapped = np.empty(codes.shape, dtype=np.uint8)
    for row in range(0, len(codes), _ROWS_AT_ONCE):
        mapped[row : row + _ROWS_AT_ONCE] = _map_rows(codes[row : row + _ROWS_AT_ONCE], transfer, primaries)
    return mapped


def _map_rows(codes: Codes, transfer: ColorTrc, primaries: ColorPrimaries) -> NDArray[np.uint8]:
    light = _find_light(transfer)[codes]  # (H, W, 3)
    if transfer == ColorTrc.ARIB_STD_B67:
        light = light * _find_hlg_gain(light)[..., None]
    light = np.maximum(light @ _TO_709[primaries].T.astype(np.float32), 0)
    if transfer in _HDR:
        brightest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])  # (H, W)
        light = light * _find_gain(brightest)[..., None]
    places = np.sqrt(np.minimum(light, 1)) * (_NUM_CODES - 1) + 0.5
    mapped: NDArray[np.uint8] = _list_sdr_codes()[places.astype(np.uint16)]
    return mapped


def _find_gain(brightest: Light) -> Light:
    """Return the factor of the curve above the knee for each pixel: (H, W) -> (H, W)."""
    peak = (_PEAK_NITS / _WHITE_NITS - _KNEE) / (1 - _KNEE)
    above = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    curved = _KNEE + (1 - _KNEE) * np.minimum(above * (1 + above / peak**2) / (1 + above), 1)
    gain: Light = np.where(above > 0, curved / np.maximum(brightest, _KNEE), np.float32(1)).astype(np.float32)
    return gain


def _find_hlg_gain(scene: Light) -> Light:
    """Return the factor of HLG's OOTF for each pixel of scene light of 0 to 1: (H, W, 3) -> (H, W)."""
    luminance = scene @ np.array(_LUMINANCE_2020, dtype=np.float32)
    gain: Light = (np.float32(_PEAK_NITS / _WHITE_NITS) * luminance ** np.float32(_HLG_GAMMA - 1)).astype(np.float32)
    return gain


@cache
def _find_light(transfer: ColorTrc) -> Light:
    """Return the light of each code value, (65536,); of HLG it is scene light of 0 to 1."""
    values = np.arange(_NUM_CODES) / (_NUM_CODES - 1)
    if transfer == ColorTrc.SMPTE2084:
        light = _apply_pq_eotf(values) / _WHITE_NITS
    elif transfer == ColorTrc.ARIB_STD_B67:
        light = _invert_hlg_oetf(values)
    else:
        light = values**_SDR_GAMMA
    return light.astype(np.float32)


def _apply_pq_eotf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    powers = values ** (1 / m2)
    light: NDArray[np.float64] = 10_000 * (np.maximum(powers - c1, 0) / (c2 - c3 * powers)) ** (1 / m1)
    return light


def _invert_hlg_oetf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)


@cache
def _list_sdr_codes() -> NDArray[np.uint8]:
    """Return the SDR code of each light, (65536,), at the square root of the light: dark codes lie close together."""
    roots = np.arange(_NUM_CODES) / (_NUM_CODES - 1)
    return np.rint(255 * roots ** (2 / _SDR_GAMMA)).astype(np.uint8)

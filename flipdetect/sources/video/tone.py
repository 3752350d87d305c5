"""High dynamic range to standard range, in NumPy: FFmpeg's own way (zscale) is missing from PyAV's builds.

One simple way on every machine also means that a model meets the same pixels everywhere.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

# Transfer characteristics as ITU-T H.273 numbers them.
PQ, HLG = 16, 18

# BT.2408: the luminance of diffuse white (paper) in HDR, in cd/m2; and the peak that phones master to.
WHITE_NITS = 203.0
PEAK_NITS = 1000.0
# What is darker than this share of white is left alone, so that paper keeps its tone; highlights are bent.
_KNEE = 0.7

_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)


def to_standard_range(pixels: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """Bring BT.2100 pixels down to what an SDR screen would show.

    Decode (BT.2100), BT.2020 to BT.709 primaries (BT.2407, clipped), bend highlights by an extended Reinhard
    curve above a knee on the largest channel, so that hues stay, and encode as sRGB.

    Args:
        pixels: `(H, W, 3) uint16` RGB, full range.
        transfer: `PQ` or `HLG`.

    Returns:
        `(H, W, 3) uint8` RGB.
    """
    light = _decoding(transfer)[pixels]
    if transfer == HLG:
        # The display's share of the system's gamma, 1.2 at 1000 cd/m2.
        luma = np.maximum(light @ _BT2020_LUMA, 1e-6)
        light *= (luma**0.2)[..., None] * (PEAK_NITS / WHITE_NITS)
    light = np.clip(light @ _BT2020_TO_BT709.T, 0, PEAK_NITS / WHITE_NITS).astype(np.float32)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    light *= _bend(brightest) / brightest
    codes: NDArray[np.uint8] = _encoding()[np.clip(light * 4095 + 0.5, 0, 4095).astype(np.uint16)]
    return codes


def _bend(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Identity below the knee, then smoothly up to 1 at the peak."""
    room = 1 - _KNEE
    peak = (PEAK_NITS / WHITE_NITS - _KNEE) / room
    over = np.maximum(light - _KNEE, 0) / room
    bent: NDArray[np.float32] = np.minimum(light, _KNEE) + room * over * (1 + over / peak**2) / (1 + over)
    return bent


@cache
def _decoding(transfer: int) -> NDArray[np.float32]:
    """`(65536,)`: light of each code; 1 is diffuse white for PQ, the scene's peak for HLG."""
    code = np.arange(65536) / 65535
    if transfer == PQ:
        power = code ** (32 / 2523)
        nits = 10000 * (np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)
        return (nits / WHITE_NITS).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)


@cache
def _encoding() -> NDArray[np.uint8]:
    """`(4096,)`: sRGB code of each light from 0 to 1."""
    light = np.arange(4096) / 4095
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(255 * code), dtype=np.uint8)

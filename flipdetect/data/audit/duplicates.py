"""Frames that show the same picture: copied, encoded again, resized, brightened.

Three steps, each on the pairs that the previous one leaves. Perceptual hashes (Zauner, 2010) of 256 bits are sorted by
16 bands of 16 bits, so that only frames that agree in a whole band are compared (multi-index hashing; Norouzi, Punjani
and Fleet, 2012): the work grows with the number of frames, not of pairs. Pairs whose hashes differ in few bits are
compared as thumbnails. Where these are similar, a small shift, stretch and rotation and a change of brightness and
contrast are fitted (Lucas and Kanade, 1981), and the remaining difference is measured where it is largest: a sheet that
has moved a little changes one place strongly, JPEG compression all places slightly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flipdetect.data.cache import ChunkCache, decode_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FrameError
from flipdetect.progress import progress_bar
from flipdetect.sources.image import decode_frame

SIDE = 64
"""Height and width of a thumbnail in pixels: whatever the frame's shape, it is stretched to a square."""
FLAT = 4.0
"""Standard deviation of grey levels (0 to 255) below which a frame shows nothing to compare: black, or covered."""

BITS = 256
MOST_BITS = 40
"""Bits in which the hashes of two frames that are compared as thumbnails may differ; copies measured 28 at most."""
MOST_ROUGH = 14.0
"""Grey levels, in the block of 8x8 pixels that differs most, before alignment; copies measured 9 at most."""
MOST = 2.4
"""Grey levels, likewise, after alignment, up to which two frames count as the same picture. Of 1,200 rendered frames
encoded again (JPEG quality 25 to 60, scaled by 0.5 to 1.1) all are below 1.6; of 7,200 pairs of twins, which differ
only in the sheet, none is below 3.0."""
DOUBTFUL = 8.0
"""Grey levels up to which a pair is decoded again at a larger size: scaling JPEGs while decoding makes some copies of
small pictures differ by as much."""
LEAST_CORRELATION = 0.97
"""Of two copies. Dark frames of different scenes may differ by few grey levels, but they do not correlate."""
MOST_NEIGHBOURS = 64
"""Frames that a frame is compared with in each band; keeps a film of one motionless picture from costing its square."""

_BANDS = 16
_BLOCK = 8
_BLUR = 1.0
_FREQUENCIES = 16
_CHUNK = 1024
_SEED = 5
_SPEC = PreprocessSpec(height=SIDE, width=SIDE, fit="stretch")
_POPCOUNT = np.array([bin(value).count("1") for value in range(256)], np.uint8)

Pairs = npt.NDArray[np.int64]
Grey = npt.NDArray[np.uint8]


class Copy(NamedTuple):
    """Two frames that show the same picture, by their positions in ascending order, and their `aligned_difference`."""

    first: int
    second: int
    difference: float


@dataclass(frozen=True)
class FrameThumbnails:
    """Frames at a size at which thousands can be compared: (N, SIDE, SIDE) uint8, black where there are failures."""

    paths: tuple[Path, ...]
    grey: Grey
    failures: dict[int, str]

    @property
    def comparable(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: whether there is enough in the picture to compare it by."""
        chunks = np.array_split(self.grey, max(1, len(self.grey) // _CHUNK))  # as floats, all at once would fill memory
        return np.concatenate([chunk.std(axis=(1, 2)) for chunk in chunks]) >= FLAT

    def decoded_larger(self, position: int) -> Grey:
        """(SIDE, SIDE) uint8 of a file decoded at several times that size: slower, and more exact."""
        frame = decode_frame(self.paths[position], min_size=(4 * SIDE, 4 * SIDE))
        return np.asarray(cv2.cvtColor(_SPEC.resize(frame), cv2.COLOR_RGB2GRAY))


def read_thumbnails(
    paths: Sequence[Path], cache_dir: Path | None = None, workers: int | None = None
) -> FrameThumbnails:
    """Decode all files at thumbnail size, in threads; `cache_dir` is training's cache folder, None keeps nothing."""
    with tempfile.TemporaryDirectory(prefix="flipdetect-") as temporary:
        cache = ChunkCache((cache_dir or Path(temporary)) / "thumbnails")
        frames = decode_frames(paths, _SPEC, cache, workers)
        grey = np.zeros((len(paths), SIDE, SIDE), np.uint8)
        for position in range(len(paths)):
            if position not in frames.failures:
                grey[position] = cv2.cvtColor(frames[position], cv2.COLOR_RGB2GRAY)
    return FrameThumbnails(tuple(paths), grey, frames.failures)


def find_copies(thumbnails: FrameThumbnails, groups: npt.NDArray[np.int64]) -> list[Copy]:
    """Pairs of frames of different groups (N,) that show the same picture, the most similar first.

    Two black pictures are equal without meaning anything, and are not compared.
    """
    grey = thumbnails.grey
    places = np.flatnonzero(thumbnails.comparable)
    if len(places) < 2:
        return []
    pairs = _candidates(perceptual_hashes(grey[places]), groups[places])
    pairs = places[pairs[_rough(grey, places[pairs]) <= MOST_ROUGH]]
    found = []
    for first, second in progress_bar(pairs.tolist(), desc="comparing frames", unit="pair", delay=2, leave=False):
        difference = aligned_difference(grey[first], grey[second])
        if MOST < difference <= DOUBTFUL:
            with suppress(FrameError):
                difference = aligned_difference(thumbnails.decoded_larger(first), thumbnails.decoded_larger(second))
        if difference <= MOST:
            found.append(Copy(min(first, second), max(first, second), round(difference, 2)))
    return sorted(found, key=lambda copy: (copy.difference, copy.first, copy.second))


def perceptual_hashes(grey: Grey) -> npt.NDArray[np.uint8]:
    """(N, SIDE, SIDE) uint8 -> (N, BITS / 8) uint8: whether each of the lowest frequencies lies above their median."""
    step = np.arange(SIDE)
    basis = np.cos(np.pi / SIDE * (step + 0.5) * np.arange(_FREQUENCIES)[:, None]).astype(np.float32)
    hashes = np.empty((len(grey), BITS // 8), np.uint8)
    # Neighbouring frequencies change together; permuted, the bands are independent of each other.
    order = np.random.default_rng(_SEED).permutation(BITS)
    for start in range(0, len(grey), _CHUNK):
        chunk = grey[start : start + _CHUNK].astype(np.float32)
        frequencies = (basis @ chunk @ basis.T).reshape(len(chunk), -1)
        median = np.median(frequencies[:, 1:], axis=1, keepdims=True)  # without the mean brightness
        frequencies[:, 0] = median[:, 0]
        hashes[start : start + _CHUNK] = np.packbits((frequencies > median)[:, order], axis=1)
    return hashes


def aligned_difference(first: Grey, second: Grey) -> float:
    """Grey levels by which two thumbnails (SIDE, SIDE) uint8 differ in the worst block, once aligned.

    Infinity if they do not correlate.
    """
    # Blurred by a pixel, so that a small shift changes grey levels in proportion to it, at sharp edges too.
    a, b = (cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _BLUR) for grey in (first, second))
    deviations = float(a.std() * b.std())
    if deviations == 0 or float(((a - a.mean()) * (b - b.mean())).mean()) < LEAST_CORRELATION * deviations:
        return float("inf")
    down, across = np.gradient((a + b) / 2)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    terms = [np.ones_like(b), b, across, down, x * across, y * across, x * down, y * down]
    design = np.stack(terms, axis=-1).reshape(SIDE * SIDE, -1).astype(np.float64)
    # The normal equations have eight rows instead of thousands.
    fitted = np.linalg.lstsq(design.T @ design, design.T @ (a - b).ravel(), rcond=None)[0]
    return float(_largest_block((a - b - (design @ fitted).reshape(SIDE, SIDE))[None])[0])


def _candidates(hashes: npt.NDArray[np.uint8], groups: npt.NDArray[np.int64]) -> Pairs:
    """(M, 2) int64 positions whose hashes agree in a band, differ in few bits, and are of different groups."""
    count = len(hashes)
    bands = hashes.view(np.uint16).reshape(count, _BANDS)
    shuffled = np.random.default_rng(_SEED).permutation(count)
    codes = [np.empty(0, np.int64)]  # smaller position times the number of frames, plus the larger one
    for band in progress_bar(range(_BANDS), desc="comparing hashes", unit="band", delay=2, leave=False):
        # Sorted by one band, frames that agree in it are adjacent; the permutation randomises their order.
        order = shuffled[np.argsort(bands[shuffled, band], kind="stable")]
        in_order = bands[order, band]
        for distance in range(1, min(MOST_NEIGHBOURS, count - 1) + 1):
            meet = np.flatnonzero(in_order[distance:] == in_order[:-distance])
            if not len(meet):
                break
            first, second = order[meet], order[meet + distance]
            other = groups[first] != groups[second]
            first, second = first[other], second[other]
            near = _POPCOUNT[hashes[first] ^ hashes[second]].sum(axis=1, dtype=np.int64) <= MOST_BITS
            codes.append(np.minimum(first, second)[near] * count + np.maximum(first, second)[near])
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), count), axis=1)


def _rough(grey: Grey, pairs: Pairs) -> npt.NDArray[np.float32]:
    """(M, 2) -> (M,) the largest difference of a block, brightness and contrast fitted alone."""
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        a, b = (grey[pairs[start : start + _CHUNK, side]].astype(np.float32) for side in (0, 1))
        a -= a.mean(axis=(1, 2), keepdims=True)
        b -= b.mean(axis=(1, 2), keepdims=True)
        gain = (a * b).sum(axis=(1, 2), keepdims=True) / np.maximum((b * b).sum(axis=(1, 2), keepdims=True), 1)
        found[start : start + _CHUNK] = _largest_block(a - gain * b)
    return found


def _largest_block(differences: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(M, SIDE, SIDE) -> (M,): mean difference of the block that differs most."""
    blocks = SIDE // _BLOCK
    means = differences.reshape(len(differences), blocks, _BLOCK, blocks, _BLOCK).mean(axis=(2, 4))
    return np.asarray(np.abs(means).max(axis=(1, 2)))
